import { expect, it } from "vitest";
import { Deadlines } from "../../src/lib/deadlines.ts";

it("Deadlines tells who is over its time, whoever else is watched, and again after a pause", async () => {
  const clock = new Deadlines();
  const patient = {
    deadline: Number.POSITIVE_INFINITY,
    expired: () => expect.unreachable("it has no limit"),
  };
  for (let round = 0; round < 2; round++) {
    clock.watch(patient);
    await new Promise<void>((resolve) => {
      const hasty = {
        deadline: clock.now() + 10,
        expired() {
          expect(clock.now()).toBeGreaterThanOrEqual(hasty.deadline);
          clock.forget(hasty);
          resolve();
        },
      };
      clock.watch(hasty);
    });
    clock.forget(patient);
  }
});
