/**
 * The bounce store of a list: `bounce/` in DIR or DIR/digest. Reference ezmlm-formats.md 6.
 *
 *   d/<TS div 10000>/d<TS mod 10000>.<PID>   first bounce of an address: address, NUL, the bounce
 *   d/<TS div 10000>/w<TS mod 10000>.<PID>   bounce of a warning, the same form
 *   h/<c>/h<c…>                              messages an address lost, a number per line
 *   lastd, lasth                             when the d files were last looked through; h letter cleaned last
 *
 * Changes are made under `lockbounce`. A file is complete when it has its name: temp file, fsync, rename.
 */
import {
  closeSync,
  type Dirent,
  existsSync,
  fsyncSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmdirSync,
  rmSync,
  statSync,
  utimesSync,
} from "node:fs";
import { join } from "node:path";
import { quoteAddress } from "../../lib/address.ts";
import { fsyncDirectory, writeFileAtomic } from "../../lib/atomic-file.ts";
import { unixSeconds } from "../../lib/date822.ts";
import { errorText, isErrno, TemporaryError } from "../../lib/errors.ts";
import type { MessageInput } from "../../lib/message-input.ts";
import { writeAllSync } from "../../lib/write-all.ts";
import { surfCookie } from "../list/surf.ts";

/** Seconds in one directory of d files. */
export const SLOT_SECONDS = 10_000;
/** Bytes of a bounce that are kept: no warning copies more. */
const BOUNCE_LIMIT = 256 * 1024;
/** Characters of lost numbers that are kept; who forges bounces shall not fill the disk. */
const NUMBERS_LIMIT = 128 * 1024;

export interface StoredBounce {
  readonly kind: "first" | "warning";
  readonly path: string;
  /** `179522/d4928.32089` */
  readonly name: string;
}

export interface BounceText {
  readonly address: string;
  /** `Return-Path:` line and the bounce itself. */
  readonly bounce: Buffer;
}

export class BounceStore {
  readonly directory: string;
  /** Where the search for a free name ended. */
  private lastPath = "";
  private lastCount = 0;

  constructor(directory: string) {
    this.directory = directory;
  }

  private path(...names: string[]): string {
    return join(this.directory, ...names);
  }

  /** Where the numbers of an address are. The hash names files of existing lists: never keyed. */
  private numbersPath(address: string): string {
    const hash = surfCookie(Buffer.alloc(0), "", address, "");
    return this.path("h", hash.slice(0, 1), `h${hash.slice(1)}`);
  }

  /** Numbers of lost messages as text, `   N` per line; undefined when none was noted. */
  numbers(address: string): string | undefined {
    try {
      return readFileSync(this.numbersPath(address), "latin1");
    } catch (error) {
      if (isErrno(error, "ENOENT", "ENOTDIR")) return undefined;
      throw trouble("read", this.numbersPath(address), error);
    }
  }

  /** Note a lost message; twice is once. */
  addNumber(address: string, number: number): void {
    const before = this.numbers(address) ?? "";
    const line = `   ${number}\n`;
    if (before.length > NUMBERS_LIMIT || before.split(/(?<=\n)/).includes(line)) return;
    const path = this.numbersPath(address);
    try {
      mkdirSync(join(path, ".."), { recursive: true, mode: 0o755 });
      const temp = path.replace(/\/h([^/]*)$/, "/H$1");
      writeFileAtomic(path, before + line, { mode: 0o644, temp });
    } catch (error) {
      throw trouble("write", path, error);
    }
  }

  removeNumbers(address: string): void {
    rmSync(this.numbersPath(address), { force: true });
  }

  /** Keep a bounce. `pid` is a hint: the first free name is taken. */
  async keep(bounce: {
    readonly kind: "first" | "warning";
    readonly address: string;
    /** Quoted for a header. */
    readonly sender: string;
    readonly input: MessageInput;
    readonly now: Date;
    readonly pid: number;
  }): Promise<void> {
    const seconds = unixSeconds(bounce.now);
    const slot = String(Math.floor(seconds / SLOT_SECONDS));
    const letter = bounce.kind === "first" ? "d" : "w";
    const stem = `${letter}${seconds % SLOT_SECONDS}.${bounce.pid}`;
    const directory = this.path("d", slot);
    // Temp names lie outside of the slot: the directory may be removed by ezmlm-warn meanwhile.
    const temp = this.path("d", `${slot}_${stem}`);
    try {
      mkdirSync(directory, { recursive: true, mode: 0o755 });
      const fd = openSync(temp, "w", 0o644);
      try {
        writeAllSync(fd, `${bounce.address.replace(/[\0\n]/g, "_")}\0`);
        writeAllSync(
          fd,
          `Return-Path: <${quoteAddress(bounce.sender.replace(/[\0\r\n]/g, "_"))}>\n`,
        );
        let left = BOUNCE_LIMIT;
        for await (const chunk of bounce.input.chunks()) {
          writeAllSync(fd, chunk.subarray(0, left));
          left -= chunk.length;
          if (left <= 0) break;
        }
        fsyncSync(fd);
      } finally {
        closeSync(fd);
      }
      renameSync(temp, this.freeName(directory, stem));
      fsyncDirectory(directory);
    } catch (error) {
      rmSync(temp, { force: true });
      throw trouble("write", temp, error);
    }
  }

  /** `stem`, `stem.1` … : a report brings many bounces in one second. */
  private freeName(directory: string, stem: string): string {
    const path = join(directory, stem);
    let n = path === this.lastPath ? this.lastCount + 1 : 0;
    while (existsSync(n === 0 ? path : `${path}.${n}`)) n++;
    this.lastPath = path;
    this.lastCount = n;
    return n === 0 ? path : `${path}.${n}`;
  }

  /** Slots of which everything is at least `seconds` old, with what lies in them. Removes stray files. */
  *due(now: number, seconds: number): Generator<StoredBounce> {
    for (const entry of list(this.path("d"))) {
      if (!entry.isDirectory()) {
        rmSync(this.path("d", entry.name), { force: true });
        continue;
      }
      const slot = Number.parseInt(entry.name, 10);
      if (!(now >= (seconds === 0 ? slot : slot + 1) * SLOT_SECONDS + seconds)) continue;
      for (const file of list(this.path("d", entry.name))) {
        const path = this.path("d", entry.name, file.name);
        const kind = file.name[0] === "d" ? "first" : file.name[0] === "w" ? "warning" : undefined;
        if (kind && file.isFile()) yield { kind, path, name: `${entry.name}/${file.name}` };
        else rmSync(path, { force: true, recursive: true });
      }
      try {
        rmdirSync(this.path("d", entry.name));
      } catch (error) {
        // Something came meanwhile, or a bounce could not be handled: it is for the next time.
        if (!isErrno(error, "ENOTEMPTY", "ENOENT", "EEXIST"))
          throw trouble("remove", entry.name, error);
      }
    }
  }

  /** Undefined: somebody else handled it. */
  read(stored: StoredBounce): BounceText | undefined {
    try {
      const bytes = readFileSync(stored.path);
      const end = bytes.indexOf(0);
      const stop = end < 0 ? bytes.length : end;
      return { address: bytes.toString("utf8", 0, stop), bounce: bytes.subarray(stop + 1) };
    } catch (error) {
      if (isErrno(error, "ENOENT")) return undefined;
      throw trouble("read", stored.path, error);
    }
  }

  remove(stored: StoredBounce): void {
    rmSync(stored.path, { force: true });
  }

  /** When `due()` was last worked through; 0 for never. */
  lastScan(): number {
    try {
      return Number.parseInt(readFileSync(this.path("lastd"), "latin1"), 10) || 0;
    } catch (error) {
      if (isErrno(error, "ENOENT", "ENOTDIR")) return 0;
      throw trouble("read", this.path("lastd"), error);
    }
  }

  writeLastScan(now: number): void {
    try {
      mkdirSync(this.directory, { recursive: true, mode: 0o755 });
      writeFileAtomic(this.path("lastd"), String(now), { mode: 0o644, temp: this.path("lastD") });
    } catch (error) {
      throw trouble("write", this.path("lastd"), error);
    }
  }

  /**
   * Once in 100,000 seconds: forget the numbers under one letter that nothing was added to for
   * three times the timeout.
   */
  cleanNumbers(now: Date, timeoutSeconds: number): void {
    const mark = this.path("lasth");
    let letter = "p";
    try {
      const age = now.getTime() - statSync(mark).mtimeMs;
      // A mark from the future is a clock that was set back.
      if (age >= 0 && age < 100_000_000) return;
      letter = readFileSync(mark, "latin1").slice(0, 1);
    } catch (error) {
      if (!isErrno(error, "ENOENT")) throw trouble("read", mark, error);
    }
    const next = /^[a-o]$/.test(letter) ? String.fromCharCode(letter.charCodeAt(0) + 1) : "a";
    for (const entry of list(this.path("h", next))) {
      const path = this.path("h", next, entry.name);
      const age = now.getTime() - statSync(path).mtimeMs;
      if (age > 3 * timeoutSeconds * 1000) rmSync(path, { force: true });
    }
    writeFileAtomic(mark, next, { mode: 0o644 });
    utimesSync(mark, now, now);
  }
}

/** Entries in order of their names; none when the directory is missing. */
function list(path: string): Dirent[] {
  try {
    return readdirSync(path, { withFileTypes: true })
      .filter((entry) => !entry.name.startsWith("."))
      .sort((a, b) => (a.name < b.name ? -1 : 1));
  } catch (error) {
    if (isErrno(error, "ENOENT")) return [];
    throw trouble("read", path, error);
  }
}

function trouble(verb: string, path: string, error: unknown): TemporaryError {
  return new TemporaryError(`Unable to ${verb} ${path}: ${errorText(error)}. (#4.3.0)`, {
    cause: error,
  });
}
