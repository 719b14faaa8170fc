/** Deliveries that wait: first in, first out, at a cost that does not grow with their number. */
import type { Run } from "./worker-process.ts";

export class RunQueue {
  private runs: Run[] = [];
  /** Index of the first that waits. */
  private head = 0;

  get length(): number {
    return this.runs.length - this.head;
  }

  push(run: Run): void {
    this.runs.push(run);
  }

  shift(): Run | undefined {
    const run = this.runs[this.head];
    if (!run) return undefined;
    this.head++;
    if (this.head > 64 && this.head * 2 > this.runs.length) {
      this.runs = this.runs.slice(this.head);
      this.head = 0;
    }
    return run;
  }

  /** Put back what was shifted: it is next again. */
  unshift(run: Run): void {
    if (this.head > 0) this.runs[--this.head] = run;
    else this.runs.unshift(run);
  }

  /** All of them; the queue is empty afterwards. */
  take(): Run[] {
    const all = this.runs.slice(this.head);
    this.runs = [];
    this.head = 0;
    return all;
  }
}
