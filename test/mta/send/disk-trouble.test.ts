/** The process when its directories do not work: clients are told at once, and the log says why. */
import { execFileSync } from "node:child_process";
import { mkdirSync, readdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import { afterEach, expect, test } from "vitest";
import { DropWriter, pullTrigger } from "../../../src/mta/queue/drop-file.ts";
import { eventually, makeHome, QmailSendProcess } from "../../support/qmail-send.ts";

const cleanup: (() => Promise<void> | void)[] = [];
afterEach(async () => {
  for (const undo of cleanup.splice(0).reverse()) await undo();
});

function begin(): QmailSendProcess {
  const { home, remove } = makeHome();
  cleanup.push(remove);
  const send = new QmailSendProcess(home);
  cleanup.push(() => send.kill());
  return send;
}

async function start(): Promise<QmailSendProcess> {
  const send = begin();
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

test("the log says once why mail stays in the drop directory", async () => {
  const send = begin();
  const queue = join(send.home, "queue");
  execFileSync("mkfifo", [join(queue, "lock", "trigger")]);
  expect(await send.started(), send.log).toBe(true);
  rmSync(join(queue, "mess"), { recursive: true });
  for (let pid = 1; pid <= 3; pid++) {
    const writer = new DropWriter({ home: send.home, pid });
    writer.put("x".repeat(200_000));
    writer.from("joe@x.test");
    writer.to("ann@far.test");
    writer.commit();
  }
  pullTrigger(send.home);
  const why =
    "warning: unable to accept mail: unable to write to queue/mess: file does not exist\n";
  await send.line(new RegExp(why));
  expect(readdirSync(join(queue, "drop"))).toHaveLength(3);
  const smtpd = await send.peer("smtpd", 77, "intake");
  await smtpd.submit({ from: "joe@x.test", to: ["ann@far.test"], body: "x".repeat(200_000) });
  expect(send.log.split(why)).toHaveLength(2);
});

test("the log says why controls cannot be read, at a start and later", async () => {
  const send = await start();
  const locals = join(send.home, "control", "locals");
  rmSync(locals);
  mkdirSync(locals);
  const why = "Unable to read control/locals: is a directory";
  await send.ask("reread");
  await send.line(new RegExp(`alert: unable to reread controls: ${why}`));
  expect(await send.stop()).toBe(0);
  const again = new QmailSendProcess(send.home);
  cleanup.push(() => again.kill());
  expect(await again.started()).toBe(false);
  expect(again.log).toMatch(`alert: cannot start: unable to read controls: ${why}`);
  expect(again.failed).toMatch(why);
});
