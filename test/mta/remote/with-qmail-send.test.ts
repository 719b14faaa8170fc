/** qmail-rspawn and qmail-send together: mail goes in at the queue and arrives at a server. */
import { afterEach, expect, it } from "vitest";
import { makeHome, QmailSendProcess } from "../../support/qmail-send.ts";
import { startRspawn } from "../../support/rspawn.ts";
import { SmtpSink } from "../../support/smtp-sink.ts";

const cleanup: (() => Promise<unknown> | unknown)[] = [];
afterEach(async () => {
  for (const undo of cleanup.splice(0).reverse()) await undo();
});

it("qmail-rspawn gets large bodies over a second connection while its work goes on", async () => {
  const sink = await SmtpSink.start();
  cleanup.push(() => sink.stop());
  const { home, remove } = makeHome({ smtproutes: `:127.0.0.1:${sink.port}` });
  cleanup.push(remove);
  const send = new QmailSendProcess(home);
  cleanup.push(() => send.kill());
  expect(await send.started(), send.log).toBe(true);
  cleanup.push(await startRspawn(send));
  const smtpd = await send.peer("smtpd", 77, "intake");
  const large = `Subject: large\n\n${`${"x".repeat(70)}\n`.repeat(3000)}`;
  const to = ["a@one.test", "b@two.test", "550c@two.test"];
  await smtpd.submit({ from: "l-@local.test-@[]", to, body: large });
  await smtpd.submit({ from: "joe@x.test", to: ["d@one.test"], body: "Subject: small\n\nx\n" });
  await sink.until((s) => s.messages.length === 3);
  await send.line(/end msg 2\n/);
  expect(sink.messages.map((m) => `${m.sender} ${m.recipients.join()}`).sort()).toEqual([
    "joe@x.test d@one.test",
    "l-a=one.test@local.test a@one.test",
    "l-b=two.test@local.test b@two.test",
  ]);
  for (const message of sink.messages.filter((m) => m.sender.startsWith("l-"))) {
    expect(message.text.endsWith(large)).toBe(true);
  }
  await send.line(/failure: 127.0.0.1_does_not_like_recipient./);
  expect(send.log).not.toContain("lost qmail-rspawn");
});
