/** The arrows on a real database: keys, slices, marks, ends; and the schema number. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import {
  type Database,
  lockExclusively,
  NewerSchemaError,
  openDatabase,
} from "../../../src/lib/sqlite.ts";
import { unpackRecipients } from "../../../src/mta/queue/packed.ts";
import { planJobs } from "../../../src/mta/queue/plan.ts";
import { queueMigrations } from "../../../src/mta/queue/schema.ts";
import { accept, expand, finish, mark } from "../../../src/mta/queue/states.ts";
import { Store } from "../../../src/mta/queue/store.ts";
import { QueueView } from "../../../src/mta/queue/view.ts";
import type { Expansion, JobRow, NewMessage } from "../../../src/mta/queue/work.ts";
import { Router } from "../../../src/mta/send/route.ts";

let dir: string;
let db: Database;
let store: Store;
let view: QueueView;
const router = new Router({
  envnoathost: "x",
  locals: ["local.test"],
  percenthack: [],
  virtualdomains: [],
  smtproutes: [],
});
const context = { router, readSpilled: () => Buffer.alloc(0) };

beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), "store-"));
  db = openDatabase(join(dir, "queue.db"), queueMigrations);
  store = new Store(db);
  view = new QueueView(db);
});
afterEach(() => {
  db.close();
  rmSync(dir, { recursive: true, force: true });
});

function mail(id: number, to: readonly string[], key = "", uid = 7): NewMessage {
  const envelope = Buffer.from(to.map((one) => `${one}\0`).join(""));
  const body = Buffer.from("x\n");
  const sizes = { sizeBytes: body.length, envelopeBytes: envelope.length };
  const fixed = {
    class: 1 as const,
    born: 1000,
    sender: "a@b",
    bodyType: 1,
    hash: null,
    prefix: "",
  };
  return { id, uid, key, body, envelope, ...sizes, ...fixed };
}

function expandAll(id: number): { slices: Expansion[]; jobs: JobRow[] } {
  const slices: Expansion[] = [];
  for (;;) {
    const slice = expand(store, id, context);
    if (!slice) throw new Error("not in todo");
    slices.push(slice);
    if (slice.finished) return { slices, jobs: slices.flatMap((s) => s.jobs) };
  }
}

const done = (job: JobRow) => ({
  job: job.id,
  message: job.message,
  settled: null,
  retryAt: null,
  crashes: 0,
  failures: [] as string[],
});

test("accept() answers a repeated key of the same uid with the first message", () => {
  expect(accept(store, mail(1, ["a@b"], "5.0/1/post"))).toMatchObject({ id: 1, repeat: false });
  expect(accept(store, mail(2, ["a@b"], "5.0/1/post"))).toMatchObject({ id: 1, repeat: true });
  expect(accept(store, mail(3, ["a@b"], "5.0/1/post", 8))).toMatchObject({ id: 3, repeat: false });
  expect(accept(store, mail(4, ["a@b"], "5.0/2/post"))).toMatchObject({ id: 4, repeat: false });
  expect(view.answer({ kind: "counts" })).toMatchObject({ messages: 3, todo: 3, lastMessage: 4 });
});

test("deleteKeysOf() drops the submission keys of a delivery, and only those", () => {
  ["1.0/1/a", "1.0/2/b", "1.01/1/a", "1.1/1/a"].forEach((key, at) => {
    accept(store, mail(10 + at, ["x@y"], key));
  });
  store.deleteKeysOf("1.0");
  const left = db.prepare("SELECT key FROM submission ORDER BY key").pluck().all();
  expect(left).toEqual(["1.01/1/a", "1.1/1/a"]);
});

test("expand() makes slices of jobs that hold every recipient once, in order", () => {
  const to = Array.from(
    { length: 2345 },
    (_, i) => `u${i}@${["a.test", "B.test", "local.test"][i % 3]}`,
  );
  accept(store, mail(1, to));
  const { slices, jobs } = expandAll(1);
  expect(slices.map((s) => s.finished)).toEqual([false, false, true]);
  expect(slices[0]?.begun).toBe(true);
  const all = jobs.flatMap((job) => unpackRecipients(job.packed).originals);
  expect(all.sort()).toEqual([...to].sort());
  expect(new Set(jobs.map((job) => job.site.slice(0, 2)))).toEqual(new Set(["Ra", "Rb", "Lu"]));
  const ordinals = jobs.flatMap((job) => {
    if (!job.ordinals) return [];
    const { originals } = unpackRecipients(job.packed);
    const numbers = new Uint32Array(job.ordinals.slice().buffer);
    return originals.map((address, at) => to.indexOf(address) === numbers[at]);
  });
  expect(ordinals.length).toBeGreaterThan(700);
  expect(ordinals.every(Boolean)).toBe(true);
});

test("mark() ends a message when its last job goes, not while it is still expanded", () => {
  accept(
    store,
    mail(
      1,
      Array.from({ length: 1500 }, (_, i) => `u${i}@a.test`),
    ),
  );
  const first = expand(store, 1, context);
  expect(mark(store, (first?.jobs ?? []).map(done))).toEqual([]);
  const second = expand(store, 1, context);
  expect(second?.finished).toBe(true);
  expect(mark(store, (second?.jobs ?? []).map(done))).toEqual([
    { message: 1, spilled: false, end: "gone" },
  ]);
  for (const table of ["message", "body", "envelope", "job", "failure"]) {
    expect(db.prepare(`SELECT count(*) FROM ${table}`).pluck().get(), table).toBe(0);
  }
});

test("mark() of a job that is gone changes nothing", () => {
  accept(store, mail(1, ["a@a.test", "b@b.test"]));
  const { jobs } = expandAll(1);
  const [one] = jobs as [JobRow];
  expect(mark(store, [done(one)])).toEqual([]);
  expect(mark(store, [done(one)])).toEqual([]);
  expect(view.answer({ kind: "counts" })).toMatchObject({ messages: 1 });
});

test("finish() accepts the bounce and forgets the message in one step", () => {
  accept(store, mail(1, ["a@a.test"]));
  const { jobs } = expandAll(1);
  const failed = { ...done(jobs[0] as JobRow), failures: ["<a@a.test>:\nno\n\n"] };
  expect(mark(store, [failed])).toEqual([{ message: 1, spilled: false, end: "bounce" }]);
  finish(store, 1, mail(2, ["a@b"]));
  expect(view.answer({ kind: "state", state: 1, after: 0, limit: 9 })).toEqual([2]);
  expect(view.answer({ kind: "messages", ids: [1] })).toEqual([]);
});

test("QueueView shows the due jobs of a lane and when the next one is", () => {
  accept(store, mail(1, ["a@a.test"]));
  accept(store, { ...mail(2, ["b@a.test"]), born: 2000 });
  expandAll(1);
  expandAll(2);
  const lane = { site: "Ra.test", class: 1 as const };
  const lanes = [{ ...lane, limit: 10 }];
  const claimed = view.answer({ kind: "claim", now: 1500, lanes });
  expect(claimed).toMatchObject({ pages: [{ jobs: [{ message: 1 }], nextAt: 2000 }] });
  expect(view.answer({ kind: "lanes", after: null, limit: 9 })).toEqual([
    { ...lane, nextAt: 1000, lastAt: 2000 },
  ]);
  expect(store.makeDue("Ra.test", 1, 1999, 1500, 10)).toBe(1);
  expect(view.answer({ kind: "claim", now: 1500, lanes })).toMatchObject({
    pages: [{ nextAt: null }],
  });
});

test("message ids are not used again", () => {
  accept(store, mail(5, ["a@a.test"]));
  finish(store, 5, null);
  expect(view.answer({ kind: "counts" })).toMatchObject({ messages: 0, lastMessage: 5 });
});

test("openDatabase() refuses a newer schema and changes nothing", () => {
  const path = join(dir, "newer.db");
  const newer = openDatabase(path, [{ number: 9, sql: "CREATE TABLE t (x)" }]);
  newer.close();
  expect(() => openDatabase(path, queueMigrations)).toThrow(NewerSchemaError);
  const again = openDatabase(path, [{ number: 9, sql: "" }]);
  expect(again.prepare("SELECT name FROM sqlite_master").pluck().all()).toEqual(["t"]);
  expect(again.pragma("auto_vacuum", { simple: true })).toBe(2);
  again.close();
});

test("lockExclusively() lets one in until it closes", () => {
  const path = join(dir, "sendmutex");
  const first = lockExclusively(path);
  expect(first).toBeDefined();
  expect(lockExclusively(path)).toBeUndefined();
  first?.close();
  const second = lockExclusively(path);
  expect(second).toBeDefined();
  second?.close();
});

test("accept() with a first slice leaves the rest to expand(), each recipient once", () => {
  const to = Array.from({ length: 1200 }, (_, i) => `u${i}@${i % 2 ? "a.test" : "local.test"}`);
  const message = mail(1, to);
  const first = to.slice(0, 7);
  const cursor = Buffer.byteLength(first.map((one) => `${one}\0`).join(""));
  const jobs = planJobs(message, first, 0, router);
  const { firstJob } = accept(store, message, { jobs, cursor });
  const ids = db.prepare("SELECT id FROM job ORDER BY id").pluck().all();
  expect(ids).toEqual(jobs.map((_, at) => firstJob + at));
  expect(view.answer({ kind: "counts" })).toMatchObject({ messages: 1, todo: 1 });
  const rest = expandAll(1);
  expect(rest.slices[0]?.begun).toBe(false);
  const all = [...jobs, ...rest.jobs].flatMap((job) => unpackRecipients(job.packed).originals);
  expect(all.sort()).toEqual([...to].sort());
  // The ordinal names a local delivery on every retry: it counts all recipients of the message.
  for (const job of rest.jobs) {
    const numbers = job.ordinals ? [...new Uint32Array(job.ordinals.slice().buffer)] : [];
    const { originals } = unpackRecipients(job.packed);
    expect(numbers.map((number) => to[number])).toEqual(job.ordinals ? originals : []);
  }
});

test("accept() with all recipients in its slice is active and keeps no envelope", () => {
  const message = mail(1, ["a@a.test"]);
  const jobs = planJobs(message, ["a@a.test"], 0, router);
  const { firstJob } = accept(store, message, { jobs, cursor: message.envelopeBytes });
  expect(view.answer({ kind: "counts" })).toMatchObject({ messages: 1, todo: 0 });
  expect(db.prepare("SELECT count(*) FROM envelope").pluck().get()).toBe(0);
  const [end] = mark(store, [{ ...done({ id: firstJob, message: 1 } as JobRow) }]);
  expect(end).toEqual({ message: 1, spilled: false, end: "gone" });
});
