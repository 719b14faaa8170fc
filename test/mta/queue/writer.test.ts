/** What the writer thread and its owner do when the disk fails: nobody is told yes. */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import Sqlite from "better-sqlite3";
import { afterEach, beforeEach, expect, test } from "vitest";
import { type Database, openDatabase } from "../../../src/lib/sqlite.ts";
import { Failpoint } from "../../../src/mta/queue/failpoint.ts";
import { Queue } from "../../../src/mta/queue/queue.ts";
import { queueMigrations } from "../../../src/mta/queue/schema.ts";
import { Store } from "../../../src/mta/queue/store.ts";
import type { NewMessage, WriteOperation } from "../../../src/mta/queue/work.ts";
import { Writer } from "../../../src/mta/queue/writer.ts";

let dir: string;
let db: Database;
let store: FailingStore;
let writer: Writer;

/** Commits fail with these codes, one after the other. */
class FailingStore extends Store {
  readonly codes: string[] = [];
  begun = 0;

  override begin(): void {
    this.begun++;
    super.begin();
  }

  override commit(): void {
    const code = this.codes.shift();
    if (code !== undefined) throw new Sqlite.SqliteError("disk trouble", code);
    super.commit();
  }
}

beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), "writer-"));
  db = openDatabase(join(dir, "queue.db"), queueMigrations);
  store = new FailingStore(db);
  writer = new Writer(store, dir, new Failpoint(undefined, () => {}));
});
afterEach(() => {
  db.close();
  rmSync(dir, { recursive: true, force: true });
});

function mail(id: number): NewMessage {
  const envelope = Buffer.from("a@b.test\0");
  return {
    id,
    class: 1,
    born: 1000,
    uid: 7,
    sender: "",
    sizeBytes: 2,
    bodyType: 0,
    hash: null,
    body: Buffer.from("x\n"),
    envelope,
    envelopeBytes: envelope.length,
    key: "",
    prefix: "",
  };
}

const accepts = (...ids: number[]): WriteOperation[] =>
  ids.map((id) => ({ kind: "accept", message: mail(id), slice: null }));
const stored = (): unknown[] => db.prepare("SELECT id FROM message ORDER BY id").pluck().all();

test("run() answers nobody with yes after a failed fsync, and commits nothing more", () => {
  store.codes.push("SQLITE_IOERR_FSYNC");
  const failed = { ok: false, code: "SQLITE_IOERR_FSYNC" };
  expect(writer.run(accepts(1, 2))).toMatchObject([failed, failed]);
  expect(writer.run(accepts(3))).toMatchObject([failed]);
  expect(writer.run(accepts(4, 5))).toMatchObject([failed, failed]);
  expect(store.begun).toBe(1);
  expect(stored()).toEqual([]);
});

test("run() stops where an operation by itself meets the I/O error", () => {
  store.codes.push("SQLITE_FULL", "SQLITE_FULL", "SQLITE_IOERR_WRITE");
  const answers = writer.run(accepts(1, 2, 3));
  expect(answers.map((answer) => (answer.ok ? "ok" : answer.code))).toEqual([
    "SQLITE_FULL",
    "SQLITE_IOERR_WRITE",
    "SQLITE_IOERR_WRITE",
  ]);
});

test("run() lets a full disk meet only those whose commit does not fit", () => {
  store.codes.push("SQLITE_FULL", "SQLITE_FULL");
  expect(writer.run(accepts(1, 2))).toMatchObject([{ code: "SQLITE_FULL" }, { ok: true }]);
  expect(stored()).toEqual([2]);
});

test("run() stands by its commit when the file of a body cannot be removed", () => {
  writer.run([{ kind: "accept", message: { ...mail(1), body: null }, slice: null }]);
  writeFileSync(join(dir, "mess"), "not a directory");
  const elsewhere = new Writer(store, join(dir, "mess"), new Failpoint(undefined, () => {}));
  const finish: WriteOperation = { kind: "finish", message: 1, bounce: null };
  expect(elsewhere.run([finish, ...accepts(2)])).toMatchObject([
    { ok: true, value: { end: "gone", spilled: true } },
    { ok: true, value: { id: 2 } },
  ]);
  expect(stored()).toEqual([2]);
});

const fakeWriter = `
import { parentPort } from "node:worker_threads";
parentPort.on("message", (batch) => {
  if (batch === null) return parentPort.close();
  const others = batch.others.map(() => ({ ok: false, code: "SQLITE_IOERR_FSYNC", text: "" }));
  const { buffer } = batch.accepts;
  parentPort.postMessage({ accepted: [], others, buffer }, [buffer]);
});
parentPort.postMessage("open");
`;

test("Queue sends nothing behind a commit that failed so, and answers nobody", async () => {
  writeFileSync(join(dir, "package.json"), '{ "type": "module" }');
  for (const name of ["writer", "reader"]) writeFileSync(join(dir, `${name}.entry.js`), fakeWriter);
  let queue: Queue | undefined;
  const seen: string[] = [];
  const gaveUp = new Promise<void>((resolve) => {
    const fatal = (text: string): void => {
      seen.push(`${text}, ${queue?.backlog} wait`);
      resolve();
    };
    const threads = pathToFileURL(`${dir}/`);
    void Queue.open({ home: dir, threads, failpoint: undefined, fatal }).then((opened) => {
      queue = opened;
      const answered = (): void => void seen.push("answered");
      opened.accept(mail(1)).then(answered, answered);
      // In the turn after this one the first is under way, and this one gathers for the next.
      setImmediate(() => void opened.accept(mail(2)).then(answered, answered));
    });
  });
  await gaveUp;
  expect(seen).toEqual(["queue database: SQLITE_IOERR_FSYNC, 1 wait"]);
  await queue?.close();
  expect(seen).toHaveLength(1);
});
