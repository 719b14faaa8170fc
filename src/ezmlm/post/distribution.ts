/**
 * A post on its way to the subscribers. The queue begins with a mail when its last recipient is in, which takes a
 * while on a long list: so the first some thousand get a mail of their own, and the rest the same once more.
 * Only where a re-run would make the same two parts: the queue keeps keys, and the mark between the parts
 * is reserved before either leaves. Whoever joins or leaves meanwhile stands on one side of it.
 */
import { setTimeout as delay } from "node:timers/promises";
import type { QueueDoor, Submission } from "../../lib/queue-door.ts";
import { addSubscribers, type HashRange, type SubscriberDb } from "../subscribers/subdb.ts";

/** Of larger posts the queue gets no second copy. Bytes. */
const SMALL_POST = 65_536;
/** So many bytes of addresses are a first part. */
const FIRST_PART = 32_768;
/** Reading the rest and sending the first copies want the same cores; the copies go first. */
const HEAD_START_MS = 5;

export interface DistributionOptions {
  readonly queue: QueueDoor;
  readonly subscribers: SubscriberDb;
  readonly range: HashRange | undefined;
  /** Fields of each copy alone. */
  readonly prefix: string | undefined;
  /**
   * `once`: nobody repeats it. `first`: it may come again. Else it comes again, with what `part` said the first
   * time.
   */
  readonly run: "once" | "first" | { readonly mark?: string };
}

export class Distribution {
  private readonly options: DistributionOptions;
  private submission: Submission;
  /** The post so far, should a second part need it. */
  private copy: Buffer[] | undefined;
  private sizeBytes = 0;
  /** The address that ends the first part. */
  private mark: string | undefined;
  /** Subscribers that were read already. */
  private read: Buffer[] | undefined;
  private out = false;

  constructor(options: DistributionOptions) {
    this.options = options;
    this.submission = this.open("post");
    const { queue, subscribers, range, run } = options;
    if (typeof run === "object") this.mark = run.mark;
    const mayPart = run === "first" && queue.keepsKeys && subscribers.isOrdered && !range;
    if (mayPart || this.mark !== undefined) this.copy = [];
  }

  private open(key: string): Submission {
    const { queue, prefix } = this.options;
    return queue.open({ key, urgency: "bulk", ...(prefix === undefined ? {} : { prefix }) });
  }

  /** Whether a part is in the queue: it cannot be taken back. */
  get isOut(): boolean {
    return this.out;
  }

  get full(): boolean {
    return this.submission.full;
  }

  drained(): Promise<void> {
    return this.submission.drained();
  }

  /** A piece of the post; its bytes must not change. */
  put(bytes: Buffer): void {
    this.submission.put(bytes);
    this.sizeBytes += bytes.length;
    if (this.sizeBytes > SMALL_POST && this.mark === undefined) this.copy = undefined;
    this.copy?.push(bytes);
  }

  /** After the last piece: the mark, to be kept before `send`; undefined when one part is all. */
  async part(): Promise<string | undefined> {
    if (!this.copy || this.mark !== undefined) return this.mark;
    this.read = [];
    let sizeBytes = 0;
    for await (const page of this.options.subscribers.packed()) {
      this.read.push(page);
      sizeBytes += page.length;
      if (sizeBytes < FIRST_PART) continue;
      this.mark = page.toString("utf8", page.lastIndexOf(0, page.length - 2) + 1, page.length - 1);
      break;
    }
    return this.mark;
  }

  /** The ids of the mails that are in the queue then; none when nobody is subscribed. */
  async send(sender: string): Promise<string[]> {
    const { options, mark, copy = [] } = this;
    const { subscribers, range } = options;
    if (mark === undefined) return this.mail(sender, this.read ?? subscribers.packed({ range }));
    const ids = await this.mail(sender, this.read ?? subscribers.packed({ range, upTo: mark }));
    this.out = ids.length > 0;
    await delay(HEAD_START_MS);
    this.submission = this.open("post-rest");
    for (const bytes of copy) this.submission.put(bytes);
    return [...ids, ...(await this.mail(sender, subscribers.packed({ range, after: mark })))];
  }

  private async mail(
    sender: string,
    subscribers: Iterable<Buffer> | AsyncIterable<Buffer>,
  ): Promise<string[]> {
    const { submission } = this;
    submission.from(sender);
    if (await addSubscribers(submission, subscribers)) return [(await submission.commit()).id];
    submission.abort();
    return [];
  }

  /** Harmless after `send`. */
  abort(): void {
    this.submission.abort();
  }
}
