/**
 * Addresses that do not answer, and for how long they are skipped: 64 records, the semantics of
 * qmail's tcpto for both address families. The table lives in memory of qmail-rspawn; a copy goes to
 * `queue/lock/tcpto`, one line `address timeouts seconds` each, where that file can be written.
 * qmail-tcpok empties the file, which empties the table. qmail reference 1.9.
 */
import { readFileSync, statSync, writeFileSync } from "node:fs";

export interface TimeoutRecord {
  readonly address: string;
  readonly timeouts: number;
  /** Seconds since the epoch of the last one that counted. */
  readonly at: number;
}

const SLOTS = 64;
const MOST = 10;
/** Timeouts closer together than this are one. */
const SAME_SECONDS = 120;

/** The clock went back since: by how much it did an address would be skipped longer. */
function isAhead(record: TimeoutRecord, now: number): boolean {
  return record.at > now + SAME_SECONDS;
}

export class TimeoutTable {
  private readonly records = new Map<string, TimeoutRecord>();
  private readonly skipSeconds: number;

  /** `spread` (say, the pid) varies how long an address is skipped: 3840 to 5824 seconds. */
  constructor(spread = 0) {
    this.skipSeconds = (60 + (spread % 32)) * 64;
  }

  /** Whether not to try this address now. */
  suppressed(address: string, now: number): boolean {
    const record = this.records.get(address);
    if (record === undefined || record.timeouts < 2) return false;
    return now - record.at < this.skipSeconds && !isAhead(record, now);
  }

  /** A connect timed out. True when the table changed. */
  timedOut(address: string, now: number): boolean {
    const record = this.records.get(address);
    if (record && record.at >= now - SAME_SECONDS && !isAhead(record, now)) return false;
    if (!record && this.records.size >= SLOTS) this.evict();
    const timeouts = Math.min((record?.timeouts ?? 0) + 1, MOST);
    this.records.set(address, { address, timeouts, at: now });
    return true;
  }

  /** A connect succeeded. True when the table changed. */
  connected(address: string): boolean {
    return this.records.delete(address);
  }

  get isEmpty(): boolean {
    return this.records.size === 0;
  }

  /** Replace everything. */
  load(records: readonly TimeoutRecord[]): void {
    this.records.clear();
    for (const record of records.slice(0, SLOTS)) this.records.set(record.address, record);
  }

  list(): TimeoutRecord[] {
    return [...this.records.values()];
  }

  private evict(): void {
    const weight = (record: TimeoutRecord): number => record.at + 1024 * record.timeouts;
    const least = this.list().reduce((a, b) => (weight(b) < weight(a) ? b : a));
    this.records.delete(least.address);
  }
}

export function formatTimeouts(records: readonly TimeoutRecord[]): string {
  return records.map((r) => `${r.address} ${r.timeouts} ${r.at}\n`).join("");
}

/** Lines that are no records are skipped: an old binary table reads as empty. */
export function parseTimeouts(text: string): TimeoutRecord[] {
  const records: TimeoutRecord[] = [];
  for (const line of text.split("\n")) {
    const match = /^([0-9a-fA-F.:]+) (\d{1,2}) (\d{1,12})$/.exec(line);
    if (match) {
      records.push({
        address: match[1] as string,
        timeouts: Number(match[2]),
        at: Number(match[3]),
      });
    }
  }
  return records;
}

/**
 * The table with its copy on disk. `own`: qmail-rspawn's, which starts empty and writes. `shared`: a
 * qmail-remote run by hand or by QMAILREMOTE, which reads the copy and adds to it.
 */
export class TimeoutFile {
  readonly table: TimeoutTable;
  /** How often somebody else has emptied or changed the table: what was remembered before is void. */
  resets = 0;
  private readonly path: string;
  private written = 0;

  constructor(path: string, spread: number, use: "own" | "shared" = "own") {
    this.path = path;
    this.table = new TimeoutTable(spread);
    if (use === "own") this.save();
    else this.table.load(safeTimeouts(path));
  }

  /** Somebody else wrote the file (qmail-tcpok empties it): take what it says. */
  refresh(): void {
    const found = statSync(this.path, { throwIfNoEntry: false });
    if (!found || this.written === 0 || found.mtimeMs === this.written) return;
    this.written = found.mtimeMs;
    this.resets++;
    this.table.load(safeTimeouts(this.path));
  }

  /** Where the file may not be written the table is kept in memory only. */
  save(): void {
    try {
      writeFileSync(this.path, formatTimeouts(this.table.list()), { mode: 0o644 });
      this.written = statSync(this.path).mtimeMs;
    } catch {
      this.written = 0;
    }
  }
}

/** A table that cannot be read counts as empty: at worst a dead address is tried once more. */
function safeTimeouts(path: string): TimeoutRecord[] {
  try {
    return readTimeouts(path);
  } catch {
    return [];
  }
}

/** Read the copy; a missing file is an empty table. */
export function readTimeouts(path: string): TimeoutRecord[] {
  const found = statSync(path, { throwIfNoEntry: false });
  return found ? parseTimeouts(readFileSync(path, "latin1")) : [];
}
