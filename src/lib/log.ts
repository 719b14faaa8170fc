/**
 * Logging without waiting: lines gather while a write is under way in the thread pool, and a few
 * milliseconds more when they are many, and leave as the next one. Bounded: when the reader stalls,
 * `full` becomes true and the owner stops making work until `drained` is called. Lines are never
 * dropped. Hostile text goes through `logSafe`.
 */
import { write } from "node:fs";
import { isErrno } from "./errors.ts";

/** Characters that may wait for the reader. */
const LIMIT = 1 << 20;
/** A write that follows another one sooner waits this long for company: each costs two changes of thread. */
const GATHER_MS = 5;
/** Pause before another try when the descriptor does not block, and when the disk is full. */
const BUSY_MS = 10;
const TROUBLE_MS = 1000;

export class LogWriter {
  private readonly fd: number;
  private pending = "";
  private outstanding = 0;
  private wasFull = false;
  private scheduled = false;
  private wroteAt = 0;
  private waiters: (() => void)[] = [];
  /** Called when there is room again after `full`. */
  drained: () => void = () => {};

  constructor(fd = 1) {
    this.fd = fd;
  }

  get full(): boolean {
    if (this.outstanding + this.pending.length <= LIMIT) return false;
    this.wasFull = true;
    return true;
  }

  /** One line, without its LF. */
  line(text: string): void {
    this.pending += `${text}\n`;
    if (this.scheduled || this.outstanding > 0) return;
    this.schedule();
  }

  private schedule(): void {
    this.scheduled = true;
    if (performance.now() - this.wroteAt < GATHER_MS) setTimeout(this.leave, GATHER_MS);
    else setImmediate(this.leave);
  }

  private readonly leave = (): void => {
    this.scheduled = false;
    this.send();
  };

  private send(): void {
    if (this.outstanding > 0 || this.pending === "") return;
    const bytes = Buffer.from(this.pending);
    this.wroteAt = performance.now();
    this.outstanding = this.pending.length;
    this.pending = "";
    this.write(bytes);
  }

  private write(bytes: Buffer): void {
    write(this.fd, bytes, 0, bytes.length, null, (error, written) => {
      // EPIPE: no reader will ever come back.
      const left =
        error && !isErrno(error, "EPIPE") ? bytes : bytes.subarray(written || bytes.length);
      if (left.length === 0) this.wrote();
      else if (!error) this.write(left);
      else setTimeout(() => this.write(left), isErrno(error, "EAGAIN") ? BUSY_MS : TROUBLE_MS);
    });
  }

  private wrote(): void {
    this.outstanding = 0;
    if (this.waiters.length > 0) this.send();
    else if (this.pending !== "" && !this.scheduled) this.schedule();
    if (this.wasFull && !this.full) {
      this.wasFull = false;
      this.drained();
    }
    if (this.outstanding > 0 || this.pending !== "") return;
    for (const resolve of this.waiters.splice(0)) resolve();
  }

  /** Resolves with true when everything has been written, with false after `limitMs`. */
  flush(limitMs = 2000): Promise<boolean> {
    this.send();
    if (this.outstanding === 0) return Promise.resolve(true);
    return new Promise((resolve) => {
      const timer = setTimeout(() => resolve(false), limitMs);
      this.waiters.push(() => {
        clearTimeout(timer);
        resolve(true);
      });
    });
  }
}

// biome-ignore lint/suspicious/noControlCharactersInRegex: that is what it looks for
const unsafe = /[\x00-\x20\x7f-\uffff%]/;

/** Text of strangers for a log line: LF becomes `/`, other blanks, controls, non-ASCII and `%` `_`. */
export function logSafe(text: string): string {
  if (!unsafe.test(text)) return text;
  let out = "";
  for (const byte of Buffer.from(text)) {
    if (byte === 10) out += "/";
    else out += byte < 33 || byte > 126 || byte === 37 ? "_" : String.fromCharCode(byte);
  }
  return out;
}
