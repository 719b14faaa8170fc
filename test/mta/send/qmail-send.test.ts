/** The process as its peers see it: mail in, deliveries out, reports back, log, stop. */
import { afterEach, expect, test } from "vitest";
import { eventually, makeHome, QmailSendProcess } from "../../support/qmail-send.ts";

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
  expect(local.work.map((w) => [w.recipient, w.deliveryKey])).toEqual([["ann@local.test", "1.0"]]);
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

test("qmail-send gives up after queuelifetime, with one more sentence", async () => {
  const send = await start({ queuelifetime: "0" }, { EZQMAIL_EXPIRE_GRACE: "0" });
  const smtpd = await send.peer("smtpd", 77, "intake");
  const remote = await send.peer("remote");
  remote.deliver = () => "Z";
  await smtpd.submit({ from: "", to: ["bob@far.test"], body: "\nx\n" });
  await send.line(/deferral: later\/\n/);
  await eventually(() => Date.now() % 1000 < 200, "next second");
  await new Promise((resolve) => setTimeout(resolve, 1000));
  await send.ask("flush");
  await send.line(
    /failure: later\/I'm_not_going_to_try_again;_this_message_has_been_in_the_queue_too_long.\/\n/,
  );
  await send.line(/bounce msg 1 qp 2\n/);
});
