/** The process as its peers see it: mail in, deliveries out, reports back, log, stop. */
import { execFileSync } from "node:child_process";
import { readdirSync, renameSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterEach, expect, test } from "vitest";
import { cookieMark, recipientMark } from "../../../src/lib/header-prefix.ts";
import { openDatabase } from "../../../src/lib/sqlite.ts";
import { BODY_CHUNK, SMALL_BODY } from "../../../src/mta/channel/protocol.ts";
import type { WholeMail } from "../../../src/mta/channel/queue-messages.ts";
import { DropWriter, pullTrigger } from "../../../src/mta/queue/drop-file.ts";
import { ADDRESS_TOO_LONG, BAD_ENVELOPE, KEY_LIMIT } from "../../../src/mta/queue/intake-answer.ts";
import {
  eventually,
  makeHome,
  Peer,
  QmailSendProcess,
  type SubmitAnswer,
  type Work,
} from "../../support/qmail-send.ts";

const cleanup: (() => Promise<void> | void)[] = [];
afterEach(async () => {
  for (const undo of cleanup.splice(0).reverse()) await undo();
});

async function start(control: Record<string, string> = {}, env: Record<string, string> = {}) {
  const { home, remove } = makeHome(control);
  cleanup.push(remove);
  return restart(home, env);
}

async function restart(home: string, env: Record<string, string> = {}) {
  const send = new QmailSendProcess(home, env);
  cleanup.push(() => send.kill());
  expect(await send.started(), send.log).toBe(true);
  return send;
}

/** The capability travels on another connection than the hello. */
async function eventuallyConnect(path: string, capability: Buffer): Promise<Peer> {
  for (let tries = 0; tries < 100; tries++) {
    const peer = await Peer.connect(path, capability);
    if (peer) return peer;
  }
  throw new Error("no welcome");
}

test("qmail-send delivers to both channels and writes the log of a message", async () => {
  const send = await start();
  const smtpd = await send.peer("smtpd", 77, "intake");
  const remote = await send.peer("remote");
  const local = await send.peer("local");
  remote.deliver = () => "K";
  local.deliver = () => "K";
  const answer = await smtpd.submit({
    from: "joe@x.test",
    to: ["ann@local.test", "bob@far.test"],
    body: "Subject: hi\n\nhello\n",
  });
  expect(answer?.type).toBe("accepted");
  await send.line(/end msg 1\n/);
  expect(remote.body(1)).toMatch(
    /^Received: \(qmail 1 invoked from network\); \d+ \w+ \d+ [\d:]+ -0000\nSubject: hi\n\nhello\n$/,
  );
  expect(local.work.map((w) => w.recipient)).toEqual(["ann@local.test"]);
  const [, born] = /^1-(\d+)\.0$/.exec(local.work[0]?.deliveryKey ?? "") ?? [];
  expect(Math.abs(Date.now() / 1000 - Number(born)), "a name no other queue gives").toBeLessThan(
    60,
  );
  const lines = send.log.split("\n");
  expect(lines[0]).toBe("status: local 0/10 remote 0/20");
  expect(lines[1]).toBe("new msg 1");
  expect(lines[2]).toMatch(/^info msg 1: bytes \d+ from <joe@x.test> qp 1 uid 77$/);
  expect(send.log).toMatch(/starting delivery \d: msg 1 to local ann@local.test\n/);
  expect(send.log).toMatch(/starting delivery \d: msg 1 to remote bob@far.test\n/);
  expect(send.log).toMatch(/delivery \d: success: ok\/\n/);
  expect(send.log).toMatch(/status: local 1\/10 remote 1\/20\n/);
  expect(await send.stop()).toBe(0);
  expect(send.log.endsWith("status: exiting\n")).toBe(true);
});

test("qmail-send bounces what failed, once, with all paragraphs", async () => {
  const send = await start({ virtualdomains: "virt.test:alias-v" });
  const smtpd = await send.peer("smtpd", 77, "intake");
  const local = await send.peer("local");
  const seen: string[] = [];
  local.text.D = "no\n\nway\n";
  local.deliver = (w) => {
    seen.push(`${w.sender} ${w.recipient}`);
    return w.sender === "" ? "K" : "D";
  };
  await smtpd.submit({
    from: "joe@local.test",
    to: ["a@local.test", "b@virt.test"],
    body: "Subject: x\n\nbody\n",
  });
  await send.line(/bounce msg 1 qp 2\n/);
  await send.line(/end msg 2\n/);
  expect(seen).toContain(" joe@local.test");
  const bounce = local.work.find((w) => w.sender === "");
  local.channel.send({ type: "fetch", message: 2, token: bounce?.token ?? Buffer.alloc(0) });
  // The message is gone by now: qmail-send closes the one that asks for it.
  await eventually(() => local.closed, "close");
});

test("qmail-send refuses a second process on the same home", async () => {
  const send = await start();
  const second = new QmailSendProcess(send.home);
  expect(await second.exited).toBe(111);
  expect(second.log).toBe("alert: cannot start: qmail-send is already running\n");
  expect(second.failed).toBe("qmail-send is already running");
});

test("qmail-send puts back what a lost peer had and gives it to the next", async () => {
  const send = await start();
  const smtpd = await send.peer("smtpd", 77, "intake");
  const first = await send.peer("remote");
  await smtpd.submit({ from: "joe@x.test", to: ["bob@far.test"], body: "\nx\n" });
  await eventually(() => first.work.length === 1, "work");
  first.close();
  const second = await send.peer("remote");
  second.deliver = () => "K";
  await send.line(/end msg 1\n/);
  expect(send.log).toContain("alert: lost qmail-rspawn connection");
  expect(second.work.map((w) => w.recipient)).toEqual(["bob@far.test"]);
});

test("qmail-send tries deferred mail again after a flush, not before", async () => {
  const send = await start();
  const smtpd = await send.peer("smtpd", 77, "intake");
  const remote = await send.peer("remote");
  let verdict: "K" | "Z" = "Z";
  remote.text.Z = "down (#4.4.1)\n";
  remote.deliver = () => verdict;
  await smtpd.submit({ from: "joe@x.test", to: ["bob@far.test", "c@far.test"], body: "\nx\n" });
  await send.line(/deferral: down_\(#4.4.1\)\/\n/);
  await send.line(/remote 0\/20\n(?:.*\n)*?.*remote 0\/20\n/);
  expect((await send.ask("qstat")).text).toBe(
    "messages in queue: 1\nmessages in queue but not yet preprocessed: 0\n",
  );
  expect((await send.ask("qread")).text).toMatch(
    /^\d+ \w{3} \d{4} \d\d:\d\d:\d\d GMT {2}#1 {2}\d+ {2}<joe@x.test> \n\tremote\tbob@far.test\n\tremote\tc@far.test\n$/,
  );
  verdict = "K";
  expect((await send.ask("flush")).code).toBe(0);
  await send.line(/end msg 1\n/);
  expect(remote.work.length).toBe(4);
});

test("a site rests when its connections fail, not because a host there writes that code", async () => {
  const send = await start();
  const remote = await send.peer("remote");
  const smtpd = await send.peer("smtpd", 77, "intake");
  const out = (address: string): Promise<Work> =>
    eventually(() => remote.work.find(({ recipient }) => recipient === address), `${address} out`);
  const submit = (to: string) => smtpd.submit({ from: "joe@x.test", to: [to], body: "\nx\n" });
  remote.text.Z =
    "Connected to 192.0.2.1 but greeting failed.\nRemote host said: 450 full (#4.4.1)\n";
  await submit("one@relay.test");
  remote.report((await out("one@relay.test")).delivery, "Z");
  await send.line(/delivery 1: deferral/);
  await submit("two@relay.test");
  await out("two@relay.test");

  remote.text.Z = "Sorry, I wasn't able to establish an SMTP connection. (#4.4.1)\n";
  await submit("one@dead.test");
  remote.report((await out("one@dead.test")).delivery, "Z");
  await send.line(/delivery 3: deferral/);
  await submit("two@dead.test");
  await submit("other@good.test");
  await out("other@good.test");
  expect(remote.work.map(({ recipient }) => recipient)).not.toContain("two@dead.test");
});

test("qmail-send gives up after queuelifetime, with one more sentence", async () => {
  const send = await start({ queuelifetime: "0" }, { EZQMAIL_EXPIRE_GRACE: "0" });
  const smtpd = await send.peer("smtpd", 77, "intake");
  const remote = await send.peer("remote");
  remote.deliver = () => "Z";
  await smtpd.submit({ from: "", to: ["bob@far.test"], body: "\nx\n" });
  await send.line(/deferral: later\/\n/);
  const later = Math.floor(Date.now() / 1000);
  await eventually(() => Math.floor(Date.now() / 1000) > later, "it is older than its lifetime");
  await send.ask("flush");
  await send.line(
    /failure: later\/I'm_not_going_to_try_again;_this_message_has_been_in_the_queue_too_long.\/\n/,
  );
  await send.line(/bounce msg 1 qp 2\n/);
});

test("qmail-send pauses for a stalled log reader and loses no line", async () => {
  const send = await start({ concurrencyremote: "50" });
  const remote = await send.peer("remote");
  const smtpd = await send.peer("smtpd", 77, "intake");
  remote.deliver = () => "K";
  remote.text.K = `${"x".repeat(3000)}\n`;
  send.child.stdout?.pause();
  const to = Array.from({ length: 3000 }, (_, i) => `u${i}@site${i % 9}.test`);
  await smtpd.submit({ from: "joe@x.test", to, body: "\nx\n" });
  const stalled = await eventually(() => {
    const { length } = remote.work;
    return length > 0 && length < to.length && length;
  }, "deliveries");
  // It answers while the log stands still, but takes nothing new.
  let refused: SubmitAnswer | undefined;
  for (let tries = 0; tries < 500 && refused?.type !== "refused"; tries++) {
    refused = await smtpd.submit({ from: "joe@x.test", to: ["late@x.test"], body: "\nx\n" });
  }
  expect(refused).toMatchObject({ type: "refused", verdict: "Z" });
  expect(stalled).toBeLessThan(to.length);
  send.child.stdout?.resume();
  await send.line(/end msg 1\n/);
  const lines = (): number => send.log.match(/: success: x{3000}\/\n/g)?.length ?? 0;
  await eventually(() => lines() === remote.work.length, "every line");
  expect(remote.work.length).toBeGreaterThanOrEqual(to.length);
});

test("qmail-send waits after stop for what runs, puts back what others left, and exits 0", async () => {
  const send = await start();
  const remote = await send.peer("remote");
  const smtpd = await send.peer("smtpd", 77, "intake");
  await smtpd.submit({ from: "joe@x.test", to: ["a@far.test", "b@far.test"], body: "\nx\n" });
  await eventually(() => remote.work.length === 2, "work");
  remote.report(1, "K");
  for (const signal of ["SIGTERM", "SIGHUP", "SIGINT"] as const) send.child.kill(signal);
  const stopped = send.stop();
  await send.line(/status: local 0\/10 remote 1\/20 exitasap\n/);
  expect((await send.ask("qstat")).text).toContain("messages in queue: 1\n");
  const late = await smtpd.submit({ from: "", to: ["late@far.test"], body: "\nx\n" });
  expect(late).toMatchObject({ type: "accepted" });
  expect(send.child.exitCode).toBe(null);
  remote.close();
  expect(await stopped).toBe(0);
  expect(send.log.endsWith("status: exiting\n")).toBe(true);
  const again = await restart(send.home);
  const next = await again.peer("remote");
  next.deliver = () => "K";
  await again.line(/end msg 1\n/);
  await again.line(/end msg 2\n/);
  expect(next.work.map((w) => w.original).sort()).toEqual(["b@far.test", "late@far.test"]);
});

test("qmail-send answers a repeated submission key until its delivery is settled", async () => {
  const send = await start();
  const local = await send.peer("local", 0);
  const smtpd = await send.peer("smtpd", 77, "intake");
  await smtpd.submit({ from: "joe@x.test", to: ["list@local.test"], body: "\nx\n" });
  await eventually(() => local.work.length === 1, "work");
  const capability = Buffer.alloc(32, 7);
  local.channel.send({ type: "worker", capability, uid: 1234 });
  const path = join(send.home, "queue", "deliver");
  const worker = await eventuallyConnect(path, capability);
  const key = `${local.work[0]?.deliveryKey}/2/post`;
  const post = { from: "list@local.test", to: ["m@far.test"], body: "\npost\n", key };
  expect(await worker.submit(post)).toMatchObject({ type: "accepted", id: 2 });
  expect(await worker.submit(post)).toMatchObject({ type: "accepted", id: 2 });
  local.report(1, "K");
  await send.line(/end msg 1\n/);
  await expect
    .poll(async () => worker.submit(post), { timeout: 8000 })
    .not.toMatchObject({ type: "accepted", id: 2 });
  await send.line(/info msg 2: bytes \d+ from <list@local.test> qp 2 uid 1234\n/);
  worker.close();
});

test("qmail-send serves a large body to whoever has its token, and nobody else", async () => {
  const send = await start();
  const local = await send.peer("local", 0);
  const smtpd = await send.peer("smtpd", 77, "intake");
  const body = `\n${"0123456789\n".repeat(30_000)}`;
  await smtpd.submit({ from: "joe@x.test", to: ["ann@local.test"], body });
  const work = await eventually(() => local.work[0], "work");
  const other = await send.peer("worker", 1234);
  other.channel.send({ type: "fetch", message: work.message, token: work.token });
  await eventually(() => other.body(work.message).length === work.sizeBytes, "body");
  expect(other.body(work.message).endsWith(body)).toBe(true);
  other.channel.send({ type: "fetch", message: work.message, token: Buffer.alloc(32) });
  await eventually(() => other.closed, "close");
});

test("qmail-send reads the drop directory when the trigger is pulled", async () => {
  const { home, remove } = makeHome();
  cleanup.push(remove);
  execFileSync("mkfifo", [join(home, "queue", "lock", "trigger")]);
  const send = await restart(home);
  for (const address of ["a@far.test", "b@far.test"]) {
    const writer = new DropWriter({ home, pid: 1 });
    writer.put("\nx\n");
    writer.from("joe@x.test");
    writer.to(address);
    writer.commit();
    await send.line(new RegExp(`info msg ${address === "a@far.test" ? 1 : 2}: `));
  }
});

test("qmail-send rereads locals and virtualdomains", async () => {
  const send = await start();
  const local = await send.peer("local", 0);
  const smtpd = await send.peer("smtpd", 77, "intake");
  writeFileSync(join(send.home, "control", "virtualdomains"), "new.test:joe\n");
  expect((await send.ask("reread")).code).toBe(0);
  await smtpd.submit({ from: "joe@x.test", to: ["ann@new.test"], body: "\nx\n" });
  await eventually(() => local.work[0]?.recipient === "joe-ann@new.test", "local delivery");
});

const wholeMail: WholeMail = {
  type: "mail",
  session: 1,
  key: "",
  urgency: "normal",
  prefix: "",
  sender: "joe@x.test",
  recipients: "ann@far.test\0",
  body: [Buffer.from("Subject: one\n\nframe\n")],
};

test("qmail-send takes a mail in one frame, knows its key again, and refuses one it could not deliver", async () => {
  const send = await start();
  const smtpd = await send.peer("smtpd", 77, "intake");
  let session = 0;
  const hand = async (change: Partial<WholeMail>) => {
    const mail: WholeMail = {
      ...wholeMail,
      session: ++session,
      body: [Buffer.from("Subject: one\n\n"), Buffer.from("frame\n")],
      ...change,
    };
    smtpd.channel.send(mail);
    await eventually(() => smtpd.answers.has(mail.session), "answer");
    return smtpd.answers.get(mail.session);
  };
  // The first looks at the disk and goes the way of large ones.
  const first = await hand({ key: "a" });
  const second = await hand({ key: "b" });
  expect([first, second]).toMatchObject([{ type: "accepted" }, { type: "accepted", id: 2 }]);
  expect(await hand({ key: "b" })).toMatchObject({ type: "accepted", id: 2 });
  const badEnvelope = { type: "refused", verdict: "D", text: BAD_ENVELOPE };
  for (const recipients of ["ann@far.test", "\0", "ann@far.test\0\0", "\ufffd@far.test\0"]) {
    expect(await hand({ recipients }), JSON.stringify(recipients)).toMatchObject(badEnvelope);
  }
  expect(await hand({ sender: "a\0b" })).toMatchObject(badEnvelope);
  expect(await hand({ prefix: "no field" })).toMatchObject(badEnvelope);
  expect(await hand({ key: "k".repeat(KEY_LIMIT + 1) })).toMatchObject(badEnvelope);
  const tooLong = { type: "refused", verdict: "D", text: ADDRESS_TOO_LONG };
  expect(await hand({ sender: `${"a".repeat(2000)}@x.test` })).toMatchObject(tooLong);
  expect(await hand({ recipients: `${"a".repeat(2000)}@x.test\0` })).toMatchObject(tooLong);
  expect((await send.ask("qstat")).text).toMatch(/^messages in queue: 2\n/);
  const remote = await send.peer("remote");
  await eventually(() => remote.work.length === 2, "both");
  for (const { message } of remote.work) {
    expect(remote.body(message)).toMatch(
      new RegExp(
        `^Received: \\(qmail ${message} invoked from network\\); .*\nSubject: one\n\nframe\n$`,
      ),
    );
  }
});

test("stopped, qmail-send answers every mail in one frame, and keeps those it said yes to", async () => {
  const send = await start();
  const smtpd = await send.peer("smtpd", 77, "intake");
  smtpd.channel.send(wholeMail);
  await eventually(() => smtpd.answers.has(1), "the disk was looked at");
  for (let session = 2; session <= 300; session++) smtpd.channel.send({ ...wholeMail, session });
  smtpd.channel.flush();
  await eventually(() => smtpd.answers.size > 10, "some");
  send.control.send({ type: "stop" });
  expect(await send.exited).toBe(0);
  await eventually(() => smtpd.closed, "close");
  expect(smtpd.answers.size).toBe(300);
  const taken = [...smtpd.answers.values()].filter(({ type }) => type === "accepted");
  const again = await restart(send.home);
  const { text } = await again.ask("qstat");
  expect(text).toMatch(new RegExp(`^messages in queue: ${taken.length}\n`));
});

test("an address that was no UTF-8 is refused on either way in", async () => {
  const send = await start();
  const smtpd = await send.peer("smtpd", 77, "intake");
  // The first looks at the disk and goes the way of large ones.
  for (const session of [1, 2]) {
    smtpd.channel.send({ ...wholeMail, session, recipients: "\ufffd@far.test\0" });
    await eventually(() => smtpd.answers.has(session), "answer");
    expect(smtpd.answers.get(session)).toMatchObject({ verdict: "D", text: BAD_ENVELOPE });
    await smtpd.submit({ from: "joe@x.test", to: ["ann@far.test"], body: "\nx\n" });
    smtpd.answers.clear();
  }
});

test("qmail-send closes a client whose mail in one frame is larger than such mail may be", async () => {
  const send = await start();
  for (const change of [
    { body: [Buffer.alloc(65_530)] },
    { recipients: "ann@far.test\0".repeat(6000) },
  ]) {
    const smtpd = await send.peer("smtpd", 77, "intake");
    smtpd.channel.send(wholeMail);
    await eventually(() => smtpd.answers.has(1), "the disk was looked at");
    smtpd.channel.send({ ...wholeMail, ...change, session: 2 });
    await eventually(() => smtpd.closed || smtpd.answers.has(2), "close");
    expect(smtpd.answers.has(2)).toBe(false);
  }
  expect((await send.ask("qstat")).text).toMatch(/^messages in queue: 2\n/);
});

test("qmail-send takes nothing from behind the words for which it closes a client", async () => {
  const send = await start();
  const smtpd = await send.peer("smtpd", 77, "intake");
  const open = { type: "open", session: 1, key: "", urgency: "normal", prefix: "" } as const;
  // All of it leaves in one write.
  for (const message of [open, open, { ...wholeMail, session: 2 }]) smtpd.channel.send(message);
  await eventually(() => smtpd.closed, "close");
  const other = await send.peer("smtpd", 77, "intake");
  const answer = await other.submit({ from: "joe@x.test", to: ["ann@far.test"], body: "\nx\n" });
  expect(answer).toMatchObject({ type: "accepted" });
  expect((await send.ask("qstat")).text).toMatch(/^messages in queue: 1\n/);
});

test("a mail in one frame that our Received line makes larger than small bodies arrives whole", async () => {
  const send = await start();
  const smtpd = await send.peer("smtpd", 77, "intake");
  const recipients = "ann@far.test\0";
  const line = "0123456789abcdef\n";
  const body = Buffer.alloc(BODY_CHUNK - recipients.length, `\n${line}`);
  for (const session of [1, 2]) {
    // The first looks at the disk and goes the way of large ones.
    smtpd.channel.send({
      type: "mail",
      session,
      key: "",
      urgency: "normal",
      prefix: "",
      sender: "joe@x.test",
      recipients,
      body: [body],
    });
    await eventually(() => smtpd.answers.has(session), "answer");
  }
  const remote = await send.peer("remote");
  await eventually(() => remote.work.length === 2, "both");
  for (const { message, token, sizeBytes } of remote.work) {
    expect(sizeBytes).toBeGreaterThan(SMALL_BODY);
    remote.channel.send({ type: "fetch", message, token });
    await eventually(() => remote.body(message).length === sizeBytes, "body");
    expect(remote.body(message).endsWith(body.toString())).toBe(true);
  }
});

test("qmail-send closes a client that sends more than its credit", async () => {
  const send = await start();
  const smtpd = await send.peer("smtpd", 77, "intake");
  smtpd.channel.send({ type: "open", session: 1, key: "", urgency: "normal", prefix: "" });
  const bytes = Buffer.alloc(1_000_000);
  smtpd.channel.send({ type: "body", session: 1, bytes });
  await eventually(() => smtpd.closed, "close");
  expect((await send.ask("qstat")).text).toMatch(/^messages in queue: 0\n/);
});

test("qmail-send names a newer queue and touches nothing", async () => {
  const { home, remove } = makeHome();
  cleanup.push(remove);
  const path = join(home, "queue", "queue.db");
  openDatabase(path, [{ number: 99, sql: "CREATE TABLE t (x)" }]).close();
  const send = new QmailSendProcess(home);
  expect(await send.exited).toBe(111);
  expect(send.log).toMatch(/^alert: cannot start: .*queue\.db was written by a newer version.*\n$/);
});

test("a prefix stays with its message: filled for local copies, over a restart, absent from the bounce", async () => {
  const send = await start({}, {});
  const prefix = `X-For: ${cookieMark(Buffer.from("s"))}-${recipientMark}\n`;
  const worker = await send.peer("worker", 77);
  const first = await send.peer("remote");
  const from = "l-return-1-@local.test-@[]";
  const to = ["ann@local.test", "bob@far.test"];
  await worker.submit({ from, to, body: "Subject: hi\n\nhello\n", prefix });
  await eventually(() => first.work.length === 1, "remote work");
  expect(first.work[0]?.prefix).toBe(prefix);
  await send.kill();
  const again = await restart(send.home);
  const local = await again.peer("local");
  const remote = await again.peer("remote");
  local.deliver = () => "K";
  remote.deliver = () => "D";
  await again.line(/end msg 1\n/);
  expect(remote.work[0]?.prefix).toBe(prefix);
  expect(local.work[0]?.prefix).toMatch(/^X-For: [a-p]{20}-ann=local\.test\n$/);
  expect((await again.ask("qread")).code).toBe(0);
  await eventually(() => local.work.length === 2, "the bounce");
  const bounce = local.work[1] as (typeof local.work)[0];
  expect([bounce.recipient, bounce.prefix]).toEqual(["l-return-1-@local.test", ""]);
  local.channel.send({ type: "fetch", message: bounce.message, token: bounce.token });
  await eventually(() => local.body(bounce.message).includes("hello"), "its body");
  expect(local.body(bounce.message)).not.toContain("X-For");
});

test("qmail-send takes no prefix that is no header", async () => {
  const send = await start();
  const worker = await send.peer("worker", 77);
  const mail = { from: "a@b", to: ["ann@local.test"], body: "\nx\n" };
  const answer = await worker.submit({ ...mail, prefix: "X: y\n\nnot this\n" });
  expect(answer).toMatchObject({ type: "refused", verdict: "D" });
});

test("what a delivery dropped again is known again, though it is read after the delivery ended", async () => {
  const { home, remove: removeHome } = makeHome();
  cleanup.push(removeHome);
  execFileSync("mkfifo", [join(home, "queue", "lock", "trigger")]);
  const send = await restart(home);
  const smtpd = await send.peer("smtpd", 77, "intake");
  const local = await send.peer("local");
  await smtpd.submit({ from: "joe@x.test", to: ["list@local.test"], body: "\nx\n" });
  await eventually(() => local.work.length === 1, "the delivery is out");
  const [work] = local.work;
  const drop = (to: string): void => {
    const writer = new DropWriter({ home: to, pid: 1, key: `${work?.deliveryKey}/1/post` });
    writer.put("\npost\n");
    writer.from("list-return-1-@local.test-@[]");
    writer.to("ann@far.test");
    writer.commit();
  };
  // Its program hands in a mail; after a crash of the program, say, it runs again and does the same.
  drop(home);
  await send.line(/new msg 2\n/);
  const { home: elsewhere, remove } = makeHome();
  cleanup.push(remove);
  drop(elsewhere);
  for (const name of readdirSync(join(elsewhere, "queue", "drop"))) {
    renameSync(join(elsewhere, "queue", "drop", name), join(home, "queue", "drop", name));
  }
  // Nobody has looked there when the delivery is over.
  local.report(work?.delivery ?? 0, "K");
  await send.line(/end msg 1\n/);
  pullTrigger(home);
  const isTaken = () => readdirSync(join(home, "queue", "drop")).length === 0;
  await eventually(isTaken, "it is taken");
  expect(send.log).not.toMatch(/new msg [^12]/);
  // In the end the key goes, and who uses it again means another mail.
  await eventually(() => {
    if (isTaken()) drop(home);
    return /new msg [^12]/.test(send.log);
  }, "the key is forgotten");
});
