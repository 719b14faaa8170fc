/** A job in memory: a claimed row with its recipients taken apart, and how this pass over it goes. */
import { bitmap, hasBit, type Recipients, setBit, unpackRecipients } from "../queue/packed.ts";
import type { JobRow, Mark, MessageRow } from "../queue/work.ts";

export class Job {
  readonly row: JobRow;
  readonly message: MessageRow;
  /** Bit per settled recipient, what the next mark writes; undefined while it is as in the row. */
  private settled: Uint8Array | undefined;
  /** Taken apart when the pass over the job starts: most of the window waits. */
  private recipients: Recipients | undefined;
  private untried: number[] | undefined;
  next = 0;
  running = 0;
  settledCount = 0;
  /** When to try again, set as the pass starts. */
  retryAt = 0;
  dying = false;
  /** Crashes it was out at, one after the other; forgotten after a pass of which nobody died. */
  crashes: number;
  /** The pass began, and nothing was put back. */
  clean = false;
  /** Whether something was settled since the last mark left. */
  dirty = false;
  private failures: string[] = [];
  private keys: string[] = [];

  constructor(row: JobRow, message: MessageRow) {
    this.row = row;
    this.message = message;
    this.crashes = row.crashes;
    if (!row.settled) return;
    for (let i = 0; i < row.count; i++) if (hasBit(row.settled, i)) this.settledCount++;
  }

  private get apart(): Recipients {
    this.recipients ??= unpackRecipients(this.row.packed);
    return this.recipients;
  }

  get originals(): readonly string[] {
    return this.apart.originals;
  }

  get routed(): readonly string[] {
    return this.apart.routed;
  }

  /** Recipients to try in this pass, as indexes; `next` is the first not started. */
  get todo(): readonly number[] {
    if (!this.untried) {
      this.untried = [];
      const { settled, count } = this.row;
      for (let i = 0; i < count; i++) if (!hasBit(settled, i)) this.untried.push(i);
    }
    return this.untried;
  }

  get started(): boolean {
    return this.next > 0;
  }

  /** Nothing runs and nothing is left to start. */
  get passOver(): boolean {
    return this.running === 0 && this.next >= this.todo.length;
  }

  /**
   * Local jobs: names the delivery, the same on every retry. Lists keep it for weeks, so the time is in
   * it: a queue that was made anew counts its messages from 1 again.
   */
  deliveryKey(index: number): string {
    const { id, born } = this.message;
    return `${id}-${born}.${ordinalAt(this.row.ordinals, index)}`;
  }

  settle(index: number): void {
    this.settledCount++;
    this.dirty = true;
    // The last one is settled with the job itself: mail for one needs no bits.
    if (this.settledCount < this.row.count) setBit(this.bits, index);
  }

  private get bits(): Uint8Array {
    this.settled ??= bitmap(this.row.count, this.row.settled);
    return this.settled;
  }

  fail(paragraph: string): void {
    this.failures.push(paragraph);
  }

  forgetKeys(deliveryKey: string): void {
    this.keys.push(deliveryKey);
  }

  /** What to write now; the pass is over, or it goes on. */
  takeMark(retryAt: number | null): Mark {
    const all = this.settledCount >= this.row.count;
    const mark: Mark = {
      job: this.row.id,
      message: this.message.id,
      settled: all ? null : this.bits.slice(),
      retryAt: all ? null : retryAt,
      crashes: this.clean ? 0 : this.crashes,
      failures: this.failures,
    };
    this.failures = [];
    this.dirty = false;
    return mark;
  }

  /** Keys of deliveries that were settled since the last time. */
  takeKeys(): readonly string[] {
    if (this.keys.length === 0) return none;
    const { keys } = this;
    this.keys = [];
    return keys;
  }
}

const none: readonly string[] = [];

/** Little-endian u32 number `index`; without a list, the index itself. */
function ordinalAt(list: Uint8Array | null, index: number): number {
  if (!list) return index;
  const byte = (at: number): number => list[index * 4 + at] as number;
  return (byte(0) | (byte(1) << 8) | (byte(2) << 16) | (byte(3) << 24)) >>> 0;
}
