/**
 * Logging without waiting: lines gather during a turn and leave as one write by a thread. Bounded:
 * when the reader stalls, `full` becomes true and the owner stops making work until `drained` is
 * called. Lines are never dropped. Hostile text goes through `logSafe`.
 */
import { Worker } from "node:worker_threads";

/** Characters that may wait for the reader. */
const LIMIT = 1 << 20;

export class LogWriter {
  private readonly worker: Worker;
  private pending = "";
  private outstanding = 0;
  private wasFull = false;
  private scheduled = false;
  private readonly waiters: (() => void)[] = [];
  /** Called when there is room again after `full`. */
  drained: () => void = () => {};

  /** `threads`: directory of the built entry files, as a file URL ending in `/`. */
  constructor(threads: URL) {
    this.worker = new Worker(new URL("log.entry.js", threads));
    this.worker.on("message", (length: number) => {
      this.outstanding -= length;
      if (this.wasFull && !this.full) {
        this.wasFull = false;
        this.drained();
      }
      if (this.outstanding === 0 && this.pending === "") {
        for (const resolve of this.waiters.splice(0)) resolve();
      }
    });
  }

  get full(): boolean {
    if (this.outstanding + this.pending.length <= LIMIT) return false;
    this.wasFull = true;
    return true;
  }

  /** One line, without its LF. */
  line(text: string): void {
    this.pending += `${text}\n`;
    if (this.scheduled) return;
    this.scheduled = true;
    setImmediate(() => this.send());
  }

  private send(): void {
    this.scheduled = false;
    if (this.pending === "") return;
    this.outstanding += this.pending.length;
    this.worker.postMessage(this.pending);
    this.pending = "";
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

  close(): void {
    this.worker.postMessage(null);
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
