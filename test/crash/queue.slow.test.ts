/** The same as queue.test.ts at random places and moments, with a seed that a failure prints. */
import { expect, test } from "vitest";
import { failpoints } from "../../src/mta/queue/failpoint.ts";
import { crashAt, dayOfMail } from "../support/crash.ts";

const seed = Number(process.env.EZQMAIL_SEED ?? Date.now() % 1_000_000);
let state = seed;
function random(below: number): number {
  state = (state * 1_103_515_245 + 12_345) % 2_147_483_648;
  return Math.floor((state / 2_147_483_648) * below);
}

test("qmail-send killed at random loses nothing", async () => {
  expect(seed, `EZQMAIL_SEED=${seed}`).toBeGreaterThanOrEqual(0);
  for (let round = 0; round < 60; round++) {
    const mails = [0, 1, 2].flatMap((n) =>
      dayOfMail(`r${n}`, { list: random(4000), large: random(20_000) }),
    );
    const name = failpoints[random(failpoints.length)] as string;
    if (random(3) > 0) {
      // Not every point is reached so often; then it dies when the work is done.
      await crashAt(`${name}:${1 + random(12)}`, mails);
    } else {
      const most = random(6000);
      await crashAt("", mails, { killAfter: (seen) => seen.delivered.size > most });
    }
  }
}, 900_000);
