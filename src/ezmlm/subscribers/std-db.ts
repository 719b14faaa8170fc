/**
 * The hashed files of the originals, `DB/subscribers/@ A … t`, read and written in place: records
 * `T` address NUL, unsorted. A file is replaced as a whole under `DB/lock` (temp, fsync, rename), so
 * readers take no lock and see it before or after. Records nobody understands are left where they
 * are. Reference ezmlm-formats.md 1.
 */
import { isUtf8 } from "node:buffer";
import { mkdirSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { asciiLower } from "../../lib/address.ts";
import { writeFileAtomic } from "../../lib/atomic-file.ts";
import { unixSeconds } from "../../lib/date822.ts";
import { errorText, isErrno, TemporaryError } from "../../lib/errors.ts";
import { appendLog, logLine } from "../list/log.ts";
import { recordSlots, slots } from "./hash.ts";
import type { StoreParts } from "./open.ts";
import {
  type Change,
  type Entry,
  type HashRange,
  isWithin,
  type Packing,
  type SubscriberDb,
  storedSpelling,
  wildcardOf,
} from "./subdb.ts";

const batchSize = 1000;

/** One hash file in memory: binary strings without their NUL. */
class HashFile {
  readonly path: string;
  records: string[];
  dirty = false;
  private index: Map<string, string> | undefined;

  constructor(dir: string, slot: number) {
    this.path = join(dir, fileName(slot));
    this.records = readRecords(this.path);
  }

  /** The stored record equal to this one without case. */
  find(record: string): string | undefined {
    const key = asciiLower(record);
    if (!this.index && this.records.length < 64) {
      return this.records.find((known) => asciiLower(known) === key);
    }
    this.index ??= new Map(this.records.map((known) => [asciiLower(known), known]));
    return this.index.get(key);
  }

  append(record: string): void {
    this.records.push(record);
    this.index?.set(asciiLower(record), record);
    this.dirty = true;
  }

  drop(records: ReadonlySet<string>): void {
    this.records = this.records.filter((known) => !records.has(asciiLower(known)));
    this.index = undefined;
    this.dirty = true;
  }

  save(): void {
    const bytes = Buffer.from(this.records.map((record) => `${record}\0`).join(""), "latin1");
    writeFileAtomic(this.path, bytes, { mode: 0o600 });
    this.dirty = false;
  }
}

/** Content; a missing file is empty. */
function readBytes(path: string): Buffer {
  try {
    return readFileSync(path);
  } catch (error) {
    if (isErrno(error, "ENOENT", "ENOTDIR")) return Buffer.alloc(0);
    throw new TemporaryError(`Unable to read ${path}: ${errorText(error)}. (#4.3.0)`, {
      cause: error,
    });
  }
}

/** Records of a file. A last record without its NUL counts. */
function readRecords(path: string): string[] {
  const records = readBytes(path).toString("latin1").split("\0");
  if (records.at(-1) === "") records.pop();
  return records;
}

/** The record equal to this one without case, without taking the file apart: one look-up reads up to 8 files. */
function findRecord(content: string, record: string): string | undefined {
  const text = `\0${content}\0`;
  // toLowerCase keeps the length of a binary string but folds beyond ASCII, so a hit is only a candidate.
  const lower = text.toLowerCase();
  const wanted = `\0${record.toLowerCase()}\0`;
  for (let at = lower.indexOf(wanted); at >= 0; at = lower.indexOf(wanted, at + 1)) {
    const found = text.slice(at + 1, at + 1 + record.length);
    if (asciiLower(found) === asciiLower(record)) return found;
  }
  return undefined;
}

const fileName = (slot: number): string => String.fromCharCode(64 + slot);

/** Address of a record; undefined when it is damaged. */
function addressOf(record: string): string | undefined {
  if (!record.startsWith("T") || !record.includes("@") || /[\n\r]/.test(record)) return undefined;
  return Buffer.from(record.slice(1), "latin1").toString("utf8");
}

/** The addresses in a hash file. */
function packedRecords(file: Buffer, packing: Packing): Buffer {
  const { end: mark = 0, domains = false, after, upTo } = packing;
  const isPart = after !== undefined || upTo !== undefined;
  // One broken byte among a million addresses must not make the queue refuse them all.
  const bytes = isUtf8(file) ? file : Buffer.from(file.toString("utf8"));
  const packed = Buffer.allocUnsafe(bytes.length + 1);
  let size = 0;
  for (let at = 0; at < bytes.length; ) {
    const nul = bytes.indexOf(0, at);
    const end = nul < 0 ? bytes.length : nul;
    const isWanted =
      (domains || bytes[at + 1] !== 0x40) &&
      (!isPart || isWithin(bytes.toString("utf8", at + 1, end), packing));
    if (isWanted && isSound(bytes, at, end)) {
      size += bytes.copy(packed, size, at + 1, end);
      packed[size++] = mark;
    }
    at = end + 1;
  }
  return packed.subarray(0, size);
}

/** Whether addressOf() would know an address in the bytes from `T` to before the NUL. */
function isSound(bytes: Buffer, from: number, end: number): boolean {
  if (bytes[from] !== 0x54) return false;
  let hasAt = false;
  for (let at = from + 1; at < end; at++) {
    const byte = bytes[at];
    if (byte === 0x40) hasAt = true;
    else if (byte === 10 || byte === 13) return false;
  }
  return hasAt;
}

const recordOf = (address: string): string => Buffer.from(`T${address}`).toString("latin1");

export class StdDb implements SubscriberDb {
  readonly name: string;
  readonly isOrdered = false;
  private readonly parts: StoreParts;

  constructor(parts: StoreParts, name: string) {
    this.parts = parts;
    this.name = name;
  }

  async has(address: string): Promise<string | undefined> {
    for (const wanted of [address, wildcardOf(address)]) {
      for (const slot of recordSlots(wanted)) {
        const content = readBytes(join(this.dir, fileName(slot))).toString("latin1");
        const found = findRecord(content, recordOf(wanted));
        if (found !== undefined) return addressOf(found);
      }
    }
    return undefined;
  }

  async add(address: string, change: Change = {}): Promise<boolean> {
    return (await this.addAll([{ address, ...commentOf(change) }], change)) > 0;
  }

  async remove(address: string, change: Change = {}): Promise<boolean> {
    return (await this.removeAll([{ address, ...commentOf(change) }], change)) > 0;
  }

  addAll(entries: readonly Entry[], change: Change = {}): Promise<number> {
    const wanted = entries.map((entry) => ({ ...entry, address: storedSpelling(entry.address) }));
    return this.update("+", wanted, change, (files, { address }) => {
      const record = recordOf(address);
      const places = this.placesOf(address, change);
      if (places.some((slot) => files.at(slot).find(record) !== undefined)) return false;
      files.at(places[0] as number).append(record);
      return true;
    });
  }

  removeAll(entries: readonly Entry[], change: Change = {}): Promise<number> {
    const doomed = new Map<number, Set<string>>();
    const pick = (files: HashFiles, { address }: Entry): boolean => {
      const key = asciiLower(recordOf(address));
      let found = false;
      for (const slot of this.placesOf(address, change)) {
        if (files.at(slot).find(key) === undefined || doomed.get(slot)?.has(key)) continue;
        doomed.set(slot, (doomed.get(slot) ?? new Set()).add(key));
        found = true;
      }
      return found;
    };
    return this.update("-", entries, change, pick, (files) => {
      for (const [slot, keys] of doomed) files.at(slot).drop(keys);
    });
  }

  async *each(range: HashRange = { low: 0, high: slots - 1 }): AsyncIterable<string[]> {
    for (let slot = range.low; slot <= Math.min(range.high, slots - 1); slot++) {
      const records = readRecords(join(this.dir, fileName(slot)));
      for (let at = 0; at < records.length; at += batchSize) {
        const addresses = records.slice(at, at + batchSize).map(addressOf);
        yield addresses.filter((address) => address !== undefined);
      }
    }
  }

  async *packed(packing: Packing = {}): AsyncIterable<Buffer> {
    const { low, high } = packing.range ?? { low: 0, high: slots - 1 };
    for (let slot = low; slot <= Math.min(high, slots - 1); slot++) {
      const packed = packedRecords(readBytes(join(this.dir, fileName(slot))), packing);
      if (packed.length > 0) yield packed;
    }
  }

  async count(): Promise<number> {
    let count = 0;
    for await (const batch of this.each()) count += batch.length;
    return count;
  }

  async create(): Promise<void> {
    mkdirSync(this.dir, { recursive: true, mode: 0o700 });
  }

  async clear(): Promise<void> {
    await this.parts.list.withLock(this.lockName, async () => {
      for (const name of this.files()) rmSync(join(this.dir, name));
    });
  }

  private get dir(): string {
    return this.parts.list.path(this.name, "subscribers");
  }

  private get lockName(): string {
    return join(this.name, "lock");
  }

  private files(): string[] {
    try {
      return readdirSync(this.dir).filter((name) => /^[@-t]n?$/.test(name));
    } catch (error) {
      if (isErrno(error, "ENOENT")) return [];
      throw error;
    }
  }

  private placesOf(address: string, change: Change): number[] {
    const forced = change.hash;
    return forced !== undefined && forced > 0 && forced < slots ? [forced] : recordSlots(address);
  }

  /** Apply `step` to each entry under the lock, save what changed, log it. */
  private update(
    sign: "+" | "-",
    entries: readonly Entry[],
    change: Change,
    step: (files: HashFiles, entry: Entry) => boolean,
    finish?: (files: HashFiles) => void,
  ): Promise<number> {
    return this.parts.list.withLock(this.lockName, async () => {
      const files = new HashFiles(this.dir);
      const changed = entries.filter((entry) => step(files, entry));
      finish?.(files);
      files.save();
      const now = unixSeconds(this.parts.now());
      const event = change.event ?? "";
      const lines = changed.map((entry) => logLine({ sign, event, ...entry }, now));
      if (lines.length > 0) appendLog(this.parts.list.path(this.name, "Log"), lines.join(""));
      return changed.length;
    });
  }
}

/** Hash files read so far in one update. */
class HashFiles {
  private readonly dir: string;
  private readonly open = new Map<number, HashFile>();

  constructor(dir: string) {
    this.dir = dir;
  }

  at(slot: number): HashFile {
    let file = this.open.get(slot);
    if (!file) {
      file = new HashFile(this.dir, slot);
      this.open.set(slot, file);
    }
    return file;
  }

  save(): void {
    try {
      for (const file of this.open.values()) if (file.dirty) file.save();
    } catch (error) {
      throw new TemporaryError(`Unable to write in ${this.dir}: ${errorText(error)}. (#4.3.0)`, {
        cause: error,
      });
    }
  }
}

function commentOf(change: Change): { comment?: string } {
  return change.comment === undefined ? {} : { comment: change.comment };
}
