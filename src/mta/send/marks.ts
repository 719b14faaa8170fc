/**
 * Results on their way into the queue: gathered per turn, a running slot's at most PARTIAL_MARK_MS
 * after they came, committed in order, tried again until they are. While one cannot be committed
 * `troubled` is true and nothing new may start: what is settled must not be forgotten.
 */
import type { QueueStore } from "../queue/queue.ts";
import type { Mark, MessageEnd } from "../queue/work.ts";
import type { Job } from "./job.ts";

const PARTIAL_MARK_MS = 50;
const RETRY_MS = 1000;
/** Marks in one transaction, so that it stays short when jobs are small. */
const BATCH = 1000;

interface Pending {
  readonly mark: Mark;
  readonly keys: readonly string[];
  readonly job: Job;
  readonly over: boolean;
}

export interface MarksOptions {
  readonly queue: Pick<QueueStore, "report">;
  /** The pass over the job ended and that is committed. */
  released(job: Job, retryAt: number | null): void;
  ended(end: MessageEnd): void;
  /** These deliveries will not come again. */
  settled(keys: readonly string[]): void;
  /** A mark cannot be committed; called at each try. */
  trouble(error: unknown): void;
  /** A commit is done. */
  wake(): void;
}

export class Marks {
  private readonly o: MarksOptions;
  private readonly pending: Pending[] = [];
  private readonly dirty = new Set<Job>();
  private timer: NodeJS.Timeout | undefined;
  private committing = false;
  troubled = false;

  constructor(options: MarksOptions) {
    this.o = options;
  }

  /** Nothing is waiting or under way. */
  get quiet(): boolean {
    return this.pending.length === 0 && !this.committing && this.dirty.size === 0;
  }

  passOver(job: Job): void {
    this.dirty.delete(job);
    this.pending.push({ mark: job.takeMark(job.retryAt), keys: job.takeKeys(), job, over: true });
  }

  /** Some recipients of a job that goes on are settled. */
  soon(job: Job): void {
    this.dirty.add(job);
    this.timer ??= setTimeout(() => {
      this.timer = undefined;
      for (const one of this.dirty) {
        this.pending.push({
          mark: one.takeMark(null),
          keys: one.takeKeys(),
          job: one,
          over: false,
        });
      }
      this.dirty.clear();
      this.commit();
    }, PARTIAL_MARK_MS);
  }

  /** At the end of a turn. */
  commit(): void {
    if (this.committing || this.pending.length === 0) return;
    this.committing = true;
    const batch = this.pending.splice(0, BATCH);
    void this.commitBatch(batch);
  }

  private async commitBatch(batch: readonly Pending[]): Promise<void> {
    const marks = batch.map((one) => one.mark);
    let ends: readonly MessageEnd[] | undefined;
    while (!ends) {
      try {
        ends = await this.o.queue.report(marks);
        this.troubled = false;
      } catch (error) {
        this.troubled = true;
        this.o.trouble(error);
        await new Promise((resolve) => setTimeout(resolve, RETRY_MS));
      }
    }
    this.committing = false;
    for (const { mark, keys, job, over } of batch) {
      if (keys.length > 0) this.o.settled(keys);
      if (over) this.o.released(job, mark.retryAt);
    }
    for (const end of ends) this.o.ended(end);
    this.o.wake();
  }
}
