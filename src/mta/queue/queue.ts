/**
 * The queue as the rest of qmail-send sees it: accept, expand, claim, report, finish. Behind it two
 * threads and one SQLite database; another store (PostgreSQL, several hosts) would stand behind the
 * same interface. Operations gather while a commit is in flight and leave as one batch; nothing is
 * answered before its fsync. Nobody else opens queue.db.
 */
import { join } from "node:path";
import { Worker } from "node:worker_threads";
import { TemporaryError } from "../../lib/errors.ts";
import { type PostedAnswers, packBatch, SPARE_BYTES, unpackAnswers } from "./batch.ts";
import {
  type Accepted,
  type CrashedJob,
  type Expansion,
  type FirstSlice,
  type LaneName,
  type Mark,
  type MessageEnd,
  type NewMessage,
  type ReadKind,
  type ReadRequest,
  type ReadResults,
  UNKNOWN_ON_DISK,
  type WriteAnswer,
  type WriteKind,
  type WriteOperation,
  type WriteResults,
} from "./work.ts";

/** The store interface (design: coarse, asynchronous, no SQL). */
export interface QueueStore {
  /**
   * Resolves when the message is durable. Rejects with TemporaryError: it is not queued. The jobs of
   * `slice` can start at once; what it leaves is to be expanded.
   */
  accept(message: NewMessage, slice?: FirstSlice | null): Promise<Accepted>;
  /** The next slice of recipients of a message in todo becomes jobs. */
  expand(message: number, weight: number): Promise<Expansion | null>;
  /** Jobs that are due, by lane. Who holds a claimed job is the business of the caller's memory. */
  claim(
    lanes: readonly (LaneName & { readonly limit: number })[],
    now: number,
  ): Promise<ReadResults["claim"]>;
  /** Results of deliveries, deferrals included; resolves with the messages that ended. */
  report(marks: readonly Mark[]): Promise<readonly MessageEnd[]>;
  /** End a message in bouncing; its bounce is accepted in the same transaction. */
  finish(message: number, bounce: NewMessage | null): Promise<MessageEnd>;
}

export interface QueueOptions {
  readonly home: string;
  /** Directory of the built entry files, as a file URL ending in `/`. */
  readonly threads: URL;
  readonly failpoint: string | undefined;
  /** The database cannot be trusted any more (failed fsync, lost thread): the process must exit. */
  fatal(text: string): void;
}

interface Waiting {
  readonly operation: WriteOperation;
  readonly weight: number;
  done(answer: WriteAnswer): void;
}

/** Weight of one batch; about a fifth of a millisecond per ten, so a transaction stays under 20 ms. */
const BATCH_WEIGHT = 400;
/** Marks wait this long for a commit that somebody is waiting for, unless they are many. */
const MARK_WAIT_MS = 15;
const MANY_MARKS = 200;

export class Queue implements QueueStore {
  private readonly writer: Worker;
  private readonly reader: Worker;
  private readonly fatal: (text: string) => void;
  private waiting: Waiting[] = [];
  private inFlight: Waiting[] | undefined;
  /** Memory for the next batch. */
  private spare: ArrayBuffer | undefined;
  private scheduled = false;
  private markTimer: NodeJS.Timeout | undefined;
  private readonly reads = new Map<
    number,
    { resolve(value: never): void; reject(error: Error): void }
  >();
  private tickets = 0;
  private closing = false;
  /** The database cannot be trusted any more. */
  private broken = false;

  private constructor(writer: Worker, reader: Worker, fatal: (text: string) => void) {
    this.writer = writer;
    this.reader = reader;
    this.fatal = fatal;
    writer.on("message", (posted: PostedAnswers) => {
      const { byteLength } = posted.buffer;
      if (byteLength > 0 && byteLength <= SPARE_BYTES) this.spare = posted.buffer;
      this.answered(unpackAnswers(posted));
    });
    reader.on(
      "message",
      ({ ticket, value, error }: { ticket: number; value: never; error?: string }) => {
        const read = this.reads.get(ticket);
        this.reads.delete(ticket);
        if (error !== undefined) read?.reject(new TemporaryError(error));
        else read?.resolve(value);
      },
    );
    for (const thread of [writer, reader]) {
      thread.on("error", (error) => this.fatal(String(error)));
      thread.on("exit", () => {
        if (!this.closing) this.fatal("a queue thread ended");
      });
    }
  }

  /** Opens the database (and makes it). Rejects with the writer's error, as NewerSchemaError's text. */
  static async open(options: QueueOptions): Promise<Queue> {
    const data = {
      database: join(options.home, "queue", "queue.db"),
      mess: join(options.home, "queue", "mess"),
      failpoint: options.failpoint,
    };
    const writer = await startThread(new URL("writer.entry.js", options.threads), data);
    const reader = await startThread(new URL("reader.entry.js", options.threads), data);
    return new Queue(writer, reader, options.fatal);
  }

  /** Operations that wait for the next commit. */
  get backlog(): number {
    return this.waiting.length;
  }

  private write<K extends WriteKind>(
    operation: WriteOperation & { kind: K },
    weight: number,
  ): Promise<WriteResults[K]> {
    return new Promise((resolve, reject) => {
      this.waiting.push({
        operation,
        weight,
        done: (answer) => {
          if (answer.ok) resolve(answer.value as WriteResults[K]);
          else reject(new TemporaryError(answer.text));
        },
      });
      if (!this.inFlight) this.schedule();
    });
  }

  /** Start a commit at the end of this turn; for a few marks alone a little later. */
  private schedule(): void {
    if (this.scheduled || this.waiting.length === 0) return;
    if (this.mayWait()) {
      this.markTimer ??= setTimeout(() => {
        this.markTimer = undefined;
        this.send();
      }, MARK_WAIT_MS);
      return;
    }
    this.scheduled = true;
    setImmediate(() => {
      this.scheduled = false;
      this.send();
    });
  }

  private mayWait(): boolean {
    let marks = 0;
    for (const { operation, weight } of this.waiting) {
      if (operation.kind !== "mark") return false;
      marks += weight;
    }
    return marks < MANY_MARKS;
  }

  private send(): void {
    if (this.inFlight || this.waiting.length === 0) return;
    clearTimeout(this.markTimer);
    this.markTimer = undefined;
    let weight = 0;
    let count = 0;
    while (count < this.waiting.length && weight < BATCH_WEIGHT) {
      weight += this.waiting[count++]?.weight ?? 0;
    }
    this.inFlight = this.waiting.splice(0, count);
    const batch = packBatch(
      this.inFlight.map((w) => w.operation),
      this.spare,
    );
    if (batch.accepts.buffer === this.spare) this.spare = undefined;
    this.writer.postMessage(batch, [batch.accepts.buffer]);
  }

  private answered(answers: WriteAnswer[]): void {
    for (const answer of answers) {
      if (answer.ok || !UNKNOWN_ON_DISK.test(answer.code)) continue;
      // Nobody is answered, and as this batch stays in flight nothing more is sent.
      this.broken = true;
      this.fatal(`queue database: ${answer.code}`);
      return;
    }
    const batch = this.inFlight ?? [];
    this.inFlight = undefined;
    // The next commit starts before anybody is answered.
    if (this.mayWait()) this.schedule();
    else this.send();
    batch.forEach((waiting, at) => {
      const answer = answers[at];
      if (answer) waiting.done(answer);
    });
  }

  accept(message: NewMessage, slice: FirstSlice | null = null): Promise<Accepted> {
    const bytes = (message.body?.length ?? 0) + (message.envelope?.length ?? 0);
    const weight = 2 + bytes / 8192 + (slice?.jobs.length ?? 0) / 2;
    return this.write({ kind: "accept", message, slice }, weight);
  }

  expand(message: number, weight: number): Promise<Expansion | null> {
    return this.write({ kind: "expand", message }, weight);
  }

  report(marks: readonly Mark[]): Promise<readonly MessageEnd[]> {
    return this.write({ kind: "mark", marks }, marks.length);
  }

  finish(message: number, bounce: NewMessage | null): Promise<MessageEnd> {
    return this.write({ kind: "finish", message, bounce }, 10);
  }

  /** Make up to `limit` jobs of the lane that are later than `after` due at `at`; how many there were. */
  makeDue(lane: LaneName, after: number, at: number, limit: number): Promise<number> {
    return this.write({ kind: "due", site: lane.site, class: lane.class, after, at, limit }, 200);
  }

  /** Count a crash against jobs that were out; answers those it happened to before. */
  crashed(jobs: readonly number[], now: number): Promise<readonly CrashedJob[]> {
    return this.write({ kind: "crashed", jobs, now }, jobs.length);
  }

  forgetKey(key: string, uid: number): Promise<null> {
    return this.write({ kind: "forgetKey", key, uid }, 1);
  }

  /** The submission keys of settled deliveries. */
  forgetKeysOf(deliveries: readonly string[]): Promise<null> {
    return this.write({ kind: "forgetKeysOf", deliveries }, deliveries.length);
  }

  sweepKeys(before: number): Promise<number> {
    return this.write({ kind: "sweepKeys", before }, 100);
  }

  route(tables: (WriteOperation & { kind: "route" })["tables"]): Promise<null> {
    return this.write({ kind: "route", tables }, 1);
  }

  claim(
    lanes: readonly (LaneName & { readonly limit: number })[],
    now: number,
  ): Promise<ReadResults["claim"]> {
    return this.read({ kind: "claim", lanes, now });
  }

  read<K extends ReadKind>(request: ReadRequest & { kind: K }): Promise<ReadResults[K]> {
    return new Promise((resolve, reject) => {
      const ticket = this.tickets++;
      this.reads.set(ticket, { resolve: resolve as (value: never) => void, reject });
      this.reader.postMessage({ ticket, request });
    });
  }

  /** After the last answer; closes the database. */
  async close(): Promise<void> {
    while (!this.broken && (this.inFlight || this.waiting.length > 0)) {
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
    this.closing = true;
    const ended = [this.writer, this.reader].map(
      (thread) => new Promise<void>((resolve) => thread.once("exit", () => resolve())),
    );
    this.reader.postMessage(null);
    this.writer.postMessage(null);
    await Promise.all(ended);
  }
}

async function startThread(file: URL, data: object): Promise<Worker> {
  const worker = new Worker(file, { workerData: data });
  await new Promise<void>((resolve, reject) => {
    worker.once("error", reject);
    worker.once("message", () => {
      worker.off("error", reject);
      resolve();
    });
  });
  return worker;
}
