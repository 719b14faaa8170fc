/**
 * Messages in todo: each becomes jobs, slice by slice, in turn, a limited number at a time, so that
 * neither one big message nor very many small ones starve deliveries. Only ids are in memory, and of
 * those only a bounded number.
 */
import type { Queue } from "../queue/queue.ts";
import { SLICE } from "../queue/states.ts";
import type { Expansion, NewMessage } from "../queue/work.ts";

/** Expansions asked for and not answered. */
const AT_ONCE = 32;
const IDS_IN_MEMORY = 50_000;
/** Read from the database at once. */
const PAGE = 10_000;
const RETRY_MS = 10_000;
/** Above this intake waits a little. */
const LONG = 2000;

interface Entry {
  readonly id: number;
  /** Weight of one slice in a batch of the writer. */
  readonly weight: number;
}

export interface TodoOptions {
  readonly queue: Pick<Queue, "expand" | "read">;
  expanded(expansion: Expansion): void;
  /** undefined: not that of one message. */
  trouble(id: number | undefined, error: unknown): void;
  /** Whether nothing may be expanded now: the log is stalled. */
  paused(): boolean;
}

export class Todo {
  private readonly o: TodoOptions;
  private entries: Entry[] = [];
  private head = 0;
  private running = 0;
  /** There may be messages in the database that are not in memory. */
  private overflow = false;
  private waiters: (() => void)[] = [];
  private stopped = false;

  constructor(options: TodoOptions) {
    this.o = options;
  }

  private get length(): number {
    return this.entries.length - this.head;
  }

  /** All of the database, oldest first. */
  async load(): Promise<void> {
    await this.refill();
    this.run();
  }

  /**
   * From the beginning each time: a message that took long to come in has a lower id than those that were
   * accepted before it. What is being expanded may come twice, which ends where the other is done.
   */
  private async refill(): Promise<void> {
    this.overflow = false;
    const ids = await this.o.queue.read({ kind: "state", state: 1, after: 0, limit: PAGE });
    for (const id of ids) this.entries.push({ id, weight: 50 });
    if (ids.length === PAGE) this.overflow = true;
  }

  add(message: NewMessage): void {
    if (this.overflow || this.length >= IDS_IN_MEMORY) {
      this.overflow = true;
      return;
    }
    const recipients = Math.min(SLICE, message.envelopeBytes / 20);
    this.entries.push({ id: message.id, weight: 2 + recipients / 8 });
    this.run();
  }

  /** Whenever there may be something to do, and once a second or so. */
  run(): void {
    if (this.overflow && this.length === 0 && !this.stopped) void this.readMore();
    while (this.running < AT_ONCE && this.length > 0 && !this.stopped && !this.o.paused()) {
      const entry = this.entries[this.head++] as Entry;
      if (this.head > 1000 && this.head * 2 > this.entries.length) {
        this.entries = this.entries.slice(this.head);
        this.head = 0;
      }
      this.running++;
      void this.expand(entry);
    }
    if (this.length < LONG) for (const resolve of this.waiters.splice(0)) resolve();
  }

  private async expand(entry: Entry): Promise<void> {
    try {
      const expansion = await this.o.queue.expand(entry.id, entry.weight);
      if (expansion) this.o.expanded(expansion);
      if (expansion && !expansion.finished) this.entries.push(entry);
    } catch (error) {
      this.o.trouble(entry.id, error);
      setTimeout(() => {
        if (this.stopped) return;
        this.entries.push(entry);
        this.run();
      }, RETRY_MS).unref();
    }
    this.running--;
    this.run();
  }

  /** Should it fail, the next `run` tries once more. */
  private async readMore(): Promise<void> {
    try {
      await this.refill();
      this.run();
    } catch (error) {
      this.overflow = true;
      this.o.trouble(undefined, error);
    }
  }

  /** Something to wait for while todo is long. */
  slow(): Promise<void> | undefined {
    if (this.length < LONG || this.stopped) return undefined;
    return new Promise((resolve) => this.waiters.push(resolve));
  }

  stop(): void {
    this.stopped = true;
    for (const resolve of this.waiters.splice(0)) resolve();
  }
}
