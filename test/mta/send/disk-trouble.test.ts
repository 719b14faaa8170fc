/** The process when its directories do not work: clients are told at once, and the log says why. */
import { rmSync } from "node:fs";
import { join } from "node:path";
import { afterEach, expect, test } from "vitest";
import { eventually, makeHome, QmailSendProcess } from "../../support/qmail-send.ts";

const cleanup: (() => Promise<void> | void)[] = [];
afterEach(async () => {
  for (const undo of cleanup.splice(0).reverse()) await undo();
});

async function start(): Promise<QmailSendProcess> {
  const { home, remove } = makeHome();
  cleanup.push(remove);
  const send = new QmailSendProcess(home);
  cleanup.push(() => send.kill());
  expect(await send.started(), send.log).toBe(true);
  return send;
}

test("a large mail that cannot be written is refused for now, before all of it was sent", async () => {
  const send = await start();
  const mess = join(send.home, "queue", "mess");
  rmSync(mess, { recursive: true });
  const smtpd = await send.peer("smtpd", 77, "intake");
  smtpd.channel.send({ type: "open", session: 1, key: "", urgency: "normal", prefix: "" });
  const bytes = Buffer.alloc(65_536, "x");
  for (let at = 0; at < 2; at++) smtpd.channel.send({ type: "body", session: 1, bytes });
  const answer = await eventually(() => smtpd.answers.get(1), "an answer");
  expect(answer).toMatchObject({ type: "refused", verdict: "Z" });
  // What was under way does no harm, and the client is served on.
  smtpd.channel.send({ type: "body", session: 1, bytes });
  smtpd.channel.send({ type: "commit", session: 1 });
  const next = { from: "joe@x.test", to: ["ann@far.test"], body: "x".repeat(200_000) };
  expect(await smtpd.submit(next)).toMatchObject({ type: "refused", verdict: "Z" });
});
