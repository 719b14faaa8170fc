/** Mail that kills whoever delivers it does not take the others with it, again and again. */
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, expect, test } from "vitest";
import { jobsThatWereOut, OutRecord } from "../../src/mta/send/out-record.ts";
import { eventually, makeHome, type Peer, QmailSendProcess } from "../support/qmail-send.ts";

const cleanup: (() => Promise<unknown> | unknown)[] = [];
afterEach(async () => {
  for (const undo of cleanup.splice(0).reverse()) await undo();
});

const body = "Subject: x\n\nx\n";

function home(control: Record<string, string> = {}): string {
  const made = makeHome(control);
  cleanup.push(made.remove);
  return made.home;
}

async function start(path: string, env: Record<string, string> = {}): Promise<QmailSendProcess> {
  const send = new QmailSendProcess(path, env);
  cleanup.push(() => send.kill());
  expect(await send.started(), send.log).toBe(true);
  return send;
}

/** The peer of a kind that takes mail of everybody but of those who poison it. */
async function eater(send: QmailSendProcess): Promise<Peer> {
  const remote = await send.peer("remote");
  remote.deliver = (work) => (work.recipient.startsWith("poison") ? undefined : "K");
  return remote;
}

const out = (peer: Peer): string[] => peer.work.map((work) => work.recipient).sort();

async function submit(send: QmailSendProcess, ...recipients: string[]): Promise<void> {
  const smtpd = await send.peer("smtpd", 77, "intake");
  for (const to of recipients) await smtpd.submit({ from: "joe@x.test", to: [to], body });
}

test("what is out at two crashes of qmail-send rests, then goes alone; innocent mail goes on", async () => {
  const path = home();
  const first = await start(path);
  const never = await first.peer("remote");
  const all = ["ann@good.test", "poison1@a.test", "poison2@b.test"];
  await submit(first, ...all);
  await eventually(() => never.work.length === 3, "all are out");
  await first.kill();

  const second = await start(path);
  const eaten = await eater(second);
  await eventually(() => eaten.work.length === 3, "all are out again, at once");
  expect(out(eaten)).toEqual(all);
  await second.line(/end msg 1\n/);
  await second.kill();

  const third = await start(path);
  expect(third.log).toMatch(/warning: msg 2 to a\.test was out when qmail-send died, 2 times now/);
  expect(third.log).toMatch(/warning: msg 3 to b\.test was out when qmail-send died, 2 times now/);
  const alone = await eater(third);
  await submit(third, "bob@good.test");
  await third.line(/end msg 4\n/);
  expect(out(alone)).toEqual(["bob@good.test"]);
  await third.ask("flush");
  await eventually(() => alone.work.length === 2, "one of them is tried");
  await submit(third, "eve@good.test");
  await third.line(/end msg 5\n/);
  const tried = out(alone).filter((address) => address.startsWith("poison"));
  expect(tried).toHaveLength(1);
  await third.kill();

  const fourth = await start(path);
  expect(fourth.log.match(/warning: msg .* 3 times now/g)).toHaveLength(1);
}, 60_000);

test("suspects go one after the other, each as soon as the last one is done", async () => {
  const path = home();
  const all = Array.from({ length: 6 }, (_, n) => `u@site${n}.test`);
  for (let crash = 1; crash <= 2; crash++) {
    const send = await start(path);
    const remote = await send.peer("remote");
    if (crash === 1) await submit(send, ...all);
    await eventually(() => remote.work.length === all.length, "all are out");
    await send.kill();
  }
  const send = await start(path);
  const remote = await send.peer("remote");
  await send.ask("flush");
  for (let done = 0; done < all.length; done++) {
    await eventually(() => remote.work.length === done + 1, "the next one is out");
    await submit(send, `other${done}@good.test`);
    await eventually(() => remote.work.length === done + 2, "mail that is none goes on");
    const other = remote.work.splice(done + 1, 1)[0];
    remote.report(other?.delivery ?? 0, "K");
    expect(remote.work).toHaveLength(done + 1);
    remote.report(remote.work[done]?.delivery ?? 0, "K");
  }
  expect(out(remote)).toEqual(all);
  await send.line(/end msg 6\n/);
});

test("what is out when qmail-rspawn dies is counted too, and forgiven when nobody died of it", async () => {
  const send = await start(home());
  const first = await send.peer("remote");
  await submit(send, "poison@a.test");
  await eventually(() => first.work.length === 1, "it is out");
  first.close();
  const second = await send.peer("remote");
  await eventually(() => second.work.length === 1, "it is out again");
  second.report(second.work[0]?.delivery ?? 0, "Z");
  await send.line(/deferral: later\/\n/);
  await send.ask("flush");
  await eventually(() => second.work.length === 2, "it is out a third time");
  second.close();
  const third = await send.peer("remote");
  await eventually(() => third.work.length === 1, "nothing was held against it");
  third.close();
  await send.line(/warning: msg 1 to a\.test was out when qmail-rspawn died, 2 times now/);
  const fourth = await eater(send);
  await submit(send, "bob@good.test");
  await send.line(/end msg 2\n/);
  expect(out(fourth)).toEqual(["bob@good.test"]);
});

test("what kills for longer than the lifetime is given up without another attempt", async () => {
  const path = home({ queuelifetime: "0" });
  const env = { EZQMAIL_EXPIRE_GRACE: "0" };
  let send = await start(path, env);
  for (let crash = 1; crash <= 3; crash++) {
    const remote = await send.peer("remote");
    if (crash === 1) await submit(send, "poison@a.test");
    else await send.ask("flush");
    await eventually(() => remote.work.length === 1, "it is out");
    await send.kill();
    send = await start(path, env);
  }
  const remote = await eater(send);
  const born = Math.floor(Date.now() / 1000);
  await eventually(() => Date.now() / 1000 > born + 1, "it is too old");
  expect(send.log).not.toContain("starting delivery"); // it rests, however short its lifetime
  await send.ask("flush");
  await send.line(/failure: Each_attempt_to_deliver_this_message_stopped_the_mail_system/);
  await send.line(/bounce msg 1 qp 2\n/);
  expect(out(remote)).not.toContain("poison@a.test");
});

test("an orderly end leaves nobody under suspicion", async () => {
  const path = home();
  for (let run = 1; run <= 3; run++) {
    const send = await start(path);
    const remote = await send.peer("remote");
    if (run === 1) await submit(send, "slow@a.test");
    else await send.ask("flush");
    await eventually(() => remote.work.length === 1, "it is out");
    remote.report(remote.work[0]?.delivery ?? 0, "Z");
    await send.line(/deferral/);
    expect(await send.stop()).toBe(0);
    expect(send.log).not.toContain("warning");
    expect(jobsThatWereOut(join(path, "queue", "lock", "running"))).toEqual([]);
  }
});

test("the record of what is out stays short and right", () => {
  const dir = mkdtempSync(join(tmpdir(), "out-record-"));
  cleanup.push(() => rmSync(dir, { recursive: true }));
  const path = join(dir, "running");
  const record = new OutRecord(path);
  record.started([7, 8]);
  record.started([8]);
  for (let id = 100; id < 20_000; id++) {
    record.started([id]);
    record.ended([id]);
    record.flush();
  }
  expect(readFileSync(path).length).toBeLessThan(70_000);
  expect(jobsThatWereOut(path)).toEqual([7, 8]);
  record.ended([8]);
  record.flush();
  expect(jobsThatWereOut(path)).toEqual([7, 8]);
  record.ended([7, 8]);
  record.flush();
  expect(jobsThatWereOut(path)).toEqual([]);
  record.close();
  expect(jobsThatWereOut(join(dir, "missing"))).toEqual([]);
});
