/**
 * People in `DIR/list.db`: one table for all databases of the list, ordered by address. Changes of
 * many go in transactions of a few thousand rows, so that others never wait long. The Log line is
 * written before the commit: a failing Log undoes the change.
 */
import { statSync } from "node:fs";
import { setTimeout as delay } from "node:timers/promises";
import { unixSeconds } from "../../lib/date822.ts";
import { errorText, PermanentError, TemporaryError } from "../../lib/errors.ts";
import { type Database, prepared, type Statement, sqliteCode } from "../../lib/sqlite.ts";
import { appendLog, logLine } from "../list/log.ts";
import { addressSlot, slots } from "./hash.ts";
import type { StoreParts } from "./open.ts";
import {
  type Change,
  type Entry,
  type HashRange,
  isWithin,
  type Packing,
  placeOf,
  type SubscriberDb,
  storedSpelling,
  wildcardOf,
} from "./subdb.ts";

const pageSize = 5000;
const packedSize = 2000;
/** Above every text there is: SQLite puts blobs there. */
const top = Buffer.alloc(0);
/** Addresses from one to another, neither included. */
interface Stretch {
  readonly after: string;
  readonly before: string | Buffer;
}
const everything: Stretch = { after: "", before: top };
/** `[` comes next after all that begins with `@`: NOCASE folds what lies between to `a` … `z`. */
const withoutDomains: readonly Stretch[] = [
  { after: "", before: "@" },
  { after: "[", before: top },
];
/** Some 50 ms of work. */
const changesPerTransaction = 10_000;
/** Between the transactions of a long change; longer than TRY_MS, so that whoever waits gets its turn. */
const PAUSE_MS = 8;
/** How often a change tries to begin while another process changes people. */
const TRY_MS = 4;
const PATIENCE_MS = 30_000;
/** From this many on, changes are sorted: neighbours share pages, random ones read and write them all. */
const bulkSize = 1000;
/** Added by one statement. */
const groupSize = 1000;
/** Databases every list has; others exist when the owner made a directory of that name. */
const builtIn = new Set(["", "digest", "allow", "deny", "mod"]);

export class SqliteDb implements SubscriberDb {
  readonly name: string;
  readonly isOrdered = true;
  private readonly parts: StoreParts;

  constructor(parts: StoreParts, name: string) {
    this.parts = parts;
    this.name = name;
  }

  async has(address: string): Promise<string | undefined> {
    const find = this.prepare(
      "SELECT address FROM subscriber WHERE db = ? AND address = ? AND slot <= 52",
    ).pluck();
    return guard(() => {
      const exact = find.get(this.name, address) as string | undefined;
      return exact ?? (find.get(this.name, wildcardOf(address)) as string | undefined);
    });
  }

  async add(address: string, change: Change = {}): Promise<boolean> {
    return (await this.addAll([{ address, ...commentOf(change) }], change)) > 0;
  }

  async remove(address: string, change: Change = {}): Promise<boolean> {
    return (await this.removeAll([{ address, ...commentOf(change) }], change)) > 0;
  }

  async addAll(entries: readonly Entry[], change: Change = {}): Promise<number> {
    this.requireName();
    const slot = change.hash ? change.hash : -1;
    const insert = this.prepare(
      "INSERT INTO subscriber (db, address, slot) VALUES (?, ?, ?) ON CONFLICT DO NOTHING",
    );
    const insertMany = this.prepare(
      "INSERT INTO subscriber (db, address, slot) SELECT ?, value, ? FROM json_each(?) WHERE true ON CONFLICT DO NOTHING",
    );
    const wanted = entries.map((entry) => {
      const address = storedSpelling(entry.address);
      return address === entry.address ? entry : { ...entry, address };
    });
    return this.update("+", wanted, change, (group) => {
      // Mostly all are new, and a statement for many of them is twice as fast; it does not say who was not.
      if (group.length === groupSize) {
        const addresses = JSON.stringify(group.map(({ address }) => address));
        const all = this.db().transaction(() => {
          if (insertMany.run(this.name, slot, addresses).changes < group.length) throw notAll;
        });
        if (holds(all)) return group;
      }
      return group.filter(({ address }) => insert.run(this.name, address, slot).changes > 0);
    });
  }

  async removeAll(entries: readonly Entry[], change: Change = {}): Promise<number> {
    const remove = this.prepare(
      "DELETE FROM subscriber WHERE db = ? AND address = ? AND (slot <= 52 OR slot = ?)",
    );
    const slot = change.hash ?? -1;
    return this.update("-", entries, change, (group) =>
      group.filter(({ address }) => remove.run(this.name, address, slot).changes > 0),
    );
  }

  async *each(range?: HashRange): AsyncIterable<string[]> {
    const part = partOf(range);
    const page = this.prepare(
      "SELECT address FROM subscriber WHERE db = ? AND address > ? AND slot <= 52 ORDER BY address LIMIT ?",
    ).pluck();
    for (let after = ""; ; ) {
      const addresses = guard(() => page.all(this.name, after, pageSize)) as string[];
      const last = addresses.at(-1);
      if (last === undefined) return;
      yield part ? addresses.filter((address) => inRange(address, part)) : addresses;
      if (addresses.length < pageSize) return;
      after = last;
    }
  }

  async *packed(packing: Packing = {}): AsyncIterable<Buffer> {
    const { range, end = 0, domains = false } = packing;
    if (partOf(range)) {
      for await (const addresses of this.each(range)) {
        const wanted = addresses.filter(
          (address) => (domains || !address.startsWith("@")) && isWithin(address, packing),
        );
        const mark = String.fromCharCode(end);
        if (wanted.length > 0) yield Buffer.from(`${wanted.join(mark)}${mark}`);
      }
      return;
    }
    // Put together by SQLite, in the order of the inner query: a string per address would cost more
    // than all the rest. Entries `@domain` are left out by where they stand: looking at each address
    // took a quarter of the time, char() of each a seventh.
    const page = this.prepare(
      `SELECT CAST(group_concat(address, @mark) || @mark AS BLOB) FROM (
        SELECT address FROM subscriber WHERE db = @db AND address > @after AND address < @before
        AND slot <= 52 ORDER BY address LIMIT ${packedSize})`,
    ).pluck();
    const what = { db: this.name, mark: String.fromCharCode(end) };
    for (const stretch of domains ? [everything] : withoutDomains) {
      for (let { after, before } = within(stretch, packing); ; ) {
        const packed = guard(() => page.get({ ...what, after, before })) as Buffer | null;
        if (!packed) break;
        const last = packed.lastIndexOf(end, packed.length - 2) + 1;
        after = packed.toString("utf8", last, packed.length - 1);
        yield packed;
      }
    }
  }

  async count(): Promise<number> {
    const count = this.prepare("SELECT count(*) FROM subscriber WHERE db = ? AND slot <= 52");
    return guard(() => Number(count.pluck().get(this.name)));
  }

  async create(): Promise<void> {
    guard(() => this.db());
  }

  async clear(): Promise<void> {
    guard(() => this.prepare("DELETE FROM subscriber WHERE db = ?").run(this.name));
  }

  private db(): Database {
    return this.parts.files.open();
  }

  private prepare(sql: string): Statement {
    return guard(() => prepared(this.db(), sql));
  }

  /** A typing error shall not make a database that nobody ever reads. */
  private requireName(): void {
    if (builtIn.has(this.name)) return;
    const dir = this.parts.list.path(this.name);
    if (!statSync(dir, { throwIfNoEntry: false })?.isDirectory()) {
      throw new PermanentError(
        `This list has no database ${JSON.stringify(this.name)}; make the directory ${dir} to have one. (#5.3.5)`,
      );
    }
  }

  /** `step` changes a group in the database and answers for whom that changed anything. */
  private async update(
    sign: "+" | "-",
    entries: readonly Entry[],
    change: Change,
    step: (group: readonly Entry[]) => readonly Entry[],
  ): Promise<number> {
    const now = unixSeconds(this.parts.now());
    const event = change.event ?? "";
    const log = this.parts.list.path(this.name, "Log");
    const apply = (slice: readonly Entry[]): number => {
      let count = 0;
      let lines = "";
      for (let at = 0; at < slice.length; at += groupSize) {
        const changed = step(slice.slice(at, at + groupSize));
        for (const { address, comment } of changed) {
          const what = comment === undefined ? { address } : { address, comment };
          lines += logLine({ sign, event, ...what }, now);
        }
        count += changed.length;
      }
      if (count > 0) appendLog(log, lines);
      return count;
    };
    const bulk = entries.length >= bulkSize;
    if (bulk) guard(() => this.db().pragma("cache_size = -65536"));
    const ordered = bulk ? sorted(entries) : entries;
    let count = 0;
    for (let at = 0; at < ordered.length; at += changesPerTransaction) {
      if (at > 0) await delay(PAUSE_MS);
      count += await this.transact(() => apply(ordered.slice(at, at + changesPerTransaction)));
    }
    return count;
  }

  /**
   * Run a transaction once it may begin. SQLite itself would wait without letting this process do
   * anything else, and look so seldom that a long change of another process leaves it no chance.
   */
  private async transact<T>(work: () => T): Promise<T> {
    const transaction = guard(() => this.db().transaction(work));
    const end = performance.now() + PATIENCE_MS;
    for (;;) {
      const isLast = performance.now() >= end;
      const done = guard(() =>
        begun(this.db(), () => ({ value: transaction.immediate() }), isLast),
      );
      if (done) return done.value;
      await delay(TRY_MS);
    }
  }
}

/** Undefined: another connection is writing, and this was not the last try. */
function begun<T>(db: Database, work: () => T, isLast: boolean): T | undefined {
  const patience = db.pragma("busy_timeout", { simple: true });
  db.pragma(`busy_timeout = ${TRY_MS}`);
  try {
    return work();
  } catch (error) {
    if (isLast || !sqliteCode(error).startsWith("SQLITE_BUSY")) throw error;
    return undefined;
  } finally {
    db.pragma(`busy_timeout = ${Number(patience)}`);
  }
}

/** Nearly in the order of the table, which is all that matters here: neighbours stay neighbours. */
function sorted(entries: readonly Entry[]): Entry[] {
  return [...entries].sort((a, b) => (a.address < b.address ? -1 : a.address > b.address ? 1 : 0));
}

/** What of the stretch lies behind `after` and not behind `upTo`. */
function within(stretch: Stretch, { after, upTo }: Packing): Stretch {
  const isLater = after !== undefined && placeOf(after) > placeOf(stretch.after);
  // No address has a NUL in it, so nothing lies between one and what follows it with a SOH.
  const end = upTo === undefined ? undefined : `${upTo}\x01`;
  const isEarlier =
    end !== undefined &&
    (typeof stretch.before !== "string" || placeOf(end) < placeOf(stretch.before));
  return {
    after: isLater ? after : stretch.after,
    before: isEarlier ? end : stretch.before,
  };
}

/** Undefined: the range is everybody. */
function partOf(range: HashRange | undefined): HashRange | undefined {
  return range && (range.low > 0 || range.high < slots - 1) ? range : undefined;
}

/** Thrown out of a transaction to undo it. */
const notAll = new Error("some were there");

function holds(transaction: () => void): boolean {
  try {
    transaction();
    return true;
  } catch (error) {
    if (error === notAll) return false;
    throw error;
  }
}

function inRange(address: string, range: HashRange): boolean {
  const slot = addressSlot(address);
  return slot >= range.low && slot <= range.high;
}

function commentOf(change: Change): { comment?: string } {
  return change.comment === undefined ? {} : { comment: change.comment };
}

/** Trouble of the database is temporary, and its text names no address. */
function guard<T>(work: () => T): T {
  try {
    return work();
  } catch (error) {
    if (sqliteCode(error) === "") throw error;
    throw new TemporaryError(`List database: ${sqliteCode(error)} ${errorText(error)}. (#4.3.0)`, {
      cause: error,
    });
  }
}
