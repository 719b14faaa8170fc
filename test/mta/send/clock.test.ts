/** Mail does not wait as long as the clock was wrong. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { afterEach, expect, test } from "vitest";
import { openDatabase } from "../../../src/lib/sqlite.ts";
import { queueMigrations } from "../../../src/mta/queue/schema.ts";
import { accept, expand } from "../../../src/mta/queue/states.ts";
import { Store } from "../../../src/mta/queue/store.ts";
import { QueueView } from "../../../src/mta/queue/view.ts";
import type { LaneName, NewMessage } from "../../../src/mta/queue/work.ts";
import { Backlog, type BacklogOptions } from "../../../src/mta/send/backlog.ts";
import { Router } from "../../../src/mta/send/route.ts";
import { eventually, makeHome, QmailSendProcess } from "../../support/qmail-send.ts";

const cleanup: (() => Promise<void> | void)[] = [];
afterEach(async () => {
  for (const undo of cleanup.splice(0).reverse()) await undo();
});

const aheadClock = pathToFileURL(join(import.meta.dirname, "../../support/ahead-clock.mjs")).href;

async function start(home: string, env: Record<string, string> = {}): Promise<QmailSendProcess> {
  const send = new QmailSendProcess(home, env);
  cleanup.push(() => send.kill());
  expect(await send.started(), send.log).toBe(true);
  return send;
}

function newHome(): string {
  const { home, remove } = makeHome();
  cleanup.push(remove);
  return home;
}

/** Seconds until the next try of each job, as they stand on disk. */
function waits(home: string): number[] {
  const db = openDatabase(join(home, "queue", "queue.db"), queueMigrations);
  const times = db.prepare("SELECT next_at FROM job ORDER BY id").pluck().all() as number[];
  db.close();
  return times.map((at) => at - Math.floor(Date.now() / 1000));
}

test("mail deferred while the clock was a year ahead is tried again when it is right", async () => {
  const home = newHome();
  const send = await start(home, { NODE_OPTIONS: `--import ${aheadClock}` });
  const remote = await send.peer("remote");
  const smtpd = await send.peer("smtpd", 77, "intake");
  const body = "Subject: x\n\nx\n";
  await smtpd.submit({ from: "joe@x.test", to: ["off@a.test"], body });
  await smtpd.submit({ from: "joe@x.test", to: ["out@b.test"], body });
  await eventually(() => remote.work.length === 2, "both are out");
  const [off, out] = remote.work;
  // The site is blocked, too.
  remote.text.Z = "Sorry, I wasn't able to establish an SMTP connection. (#4.4.1)\n";
  remote.report(off?.delivery ?? 0, "Z");
  await send.line(/delivery 1: deferral/);
  send.child.kill("SIGUSR2");
  await eventually(() => remote.work.length === 3, "it is tried again");
  expect(remote.work[2]?.recipient).toBe("off@a.test");
  // What was out meanwhile knows its next time from the other clock.
  remote.report(out?.delivery ?? 0, "Z");
  remote.report(remote.work[2]?.delivery ?? 0, "Z");
  await send.line(/delivery 2: deferral/);
  await send.line(/delivery 3: deferral/);
  expect(await send.stop()).toBe(0);
  for (const seconds of waits(home)) expect(seconds).toBeLessThanOrEqual(400);
  expect(waits(home)).toHaveLength(2);
}, 30_000);

test("at its start qmail-send tries what a wrong clock put off, and leaves the rest of the site alone", async () => {
  const home = newHome();
  const first = await start(home);
  const before = await first.peer("remote");
  before.deliver = () => "Z";
  const smtpd = await first.peer("smtpd", 77, "intake");
  for (const name of ["soon", "late"]) {
    await smtpd.submit({ from: "joe@x.test", to: [`${name}@a.test`], body: "\nx\n" });
  }
  await first.line(/delivery 2: deferral/);
  expect(await first.stop()).toBe(0);
  const db = openDatabase(join(home, "queue", "queue.db"), queueMigrations);
  db.exec("UPDATE job SET next_at = next_at + 31536000 WHERE message = 2");
  db.close();
  const second = await start(home);
  const after = await second.peer("remote");
  after.deliver = () => "K";
  await second.line(/end msg 2\n/);
  expect(after.work.map((work) => work.recipient)).toEqual(["late@a.test"]);
});

test("mend() finds every lane with a job put off too long, however many there are", async () => {
  const dir = mkdtempSync(join(tmpdir(), "backlog-"));
  cleanup.push(() => rmSync(dir, { recursive: true }));
  const db = openDatabase(join(dir, "queue.db"), queueMigrations);
  cleanup.push(() => void db.close());
  const store = new Store(db);
  const tables = { locals: [], percenthack: [], virtualdomains: [], smtproutes: [] };
  const router = new Router({ envnoathost: "x", ...tables });
  const envelope = Buffer.from(
    Array.from({ length: 2500 }, (_, at) => `u@site${at}.test\0`).join(""),
  );
  const message = { id: 1, class: 1, born: 1000, uid: 7, sender: "", sizeBytes: 2, bodyType: 0 };
  const rest = { hash: null, body: Buffer.from("x\n"), key: "", prefix: "" };
  accept(store, {
    ...message,
    ...rest,
    envelope,
    envelopeBytes: envelope.length,
  } as NewMessage);
  while (!expand(store, 1, { router, readSpilled: () => envelope })?.finished);
  db.exec("UPDATE job SET next_at = CASE id % 2 WHEN 0 THEN 9000 ELSE 90000 END");
  const view = new QueueView(db);
  const due: string[] = [];
  const backlog = new Backlog({
    queue: {
      read: async (request: Parameters<QueueView["answer"]>[0]) => view.answer(request),
      makeDue: async (lane, after, at, limit) =>
        store.makeDue(lane.site, lane.class, after, at, limit),
    } as BacklogOptions["queue"],
    window: {
      addLane: (lane: LaneName) => due.push(lane.site),
    } as unknown as BacklogOptions["window"],
    events: {} as BacklogOptions["events"],
    now: () => 2000,
    wake: () => {},
  });
  await backlog.mend(10_000);
  const times = db.prepare("SELECT next_at, count(*) FROM job GROUP BY 1 ORDER BY 1").raw().all();
  expect(times).toEqual([
    [2000, 1250],
    [9000, 1250],
  ]);
  expect(due).toHaveLength(1250);
});
