/**
 * One post from stdin to the subscribers: numbered, archived, indexed, queued. What must hold:
 *
 *  - a number belongs to one post for ever. Inside a delivery it is reserved in list.db under the
 *    delivery key before it shows anywhere, so that a re-run after a crash or a full queue takes the
 *    same number, the same archive file, makes the same parts and (by the queue's own keys) is queued once;
 *  - a reservation whose `num` was never written is carried out by the next post that comes, and a `num`
 *    that was lost or set back does not bring a number back (last-number.ts);
 *  - a post the queue refuses for good gives its number back; so does one outside of a delivery,
 *    which nobody repeats.
 *
 * Everything from number to commit happens under the list's `lock`.
 */
import { rmSync } from "node:fs";
import { quoteAddress } from "../../lib/address.ts";
import { unixSeconds } from "../../lib/date822.ts";
import { PermanentError } from "../../lib/errors.ts";
import { type HeaderField, headerBytes } from "../../lib/header.ts";
import type { Host } from "../../lib/program.ts";
import { dropIndexEntry, syncIndex, writeIndexEntry } from "../archive/index-change.ts";
import { type IndexEntry, indexEntry } from "../archive/index-line.ts";
import type { PostReservation } from "../list/database.ts";
import type { List } from "../list/list.ts";
import { type ListNumber, sizeUnits, writeNumber } from "../list/number.ts";
import { catalogue } from "../reply/texts.ts";
import type { HashRange } from "../subscribers/subdb.ts";
import { ArchiveFile, archivePath, isArchived } from "./archive-file.ts";
import { Distribution } from "./distribution.ts";
import type { IncomingMessage } from "./incoming.ts";
import { lastNumber } from "./last-number.ts";
import { postHeaders } from "./outgoing-header.ts";
import { postBody } from "./post-body.ts";
import type { PostRules } from "./post-rules.ts";

/** Reservations older than this belong to deliveries that are over. */
const RESERVATION_SECONDS = 60 * 86_400;
/** Every so many posts they are looked for: a transaction of its own. */
const FORGET_EVERY = 100;

export interface Post {
  readonly message: IncomingMessage;
  /** Envelope sender, unwrapped; "" when run from a shell without one. */
  readonly sender: string;
  readonly rules: PostRules;
  readonly range?: HashRange;
  /** A sublist without archive uses the number of its parent in its envelope sender. */
  readonly parentNumber?: number;
  /** Fields of each copy alone. */
  readonly prefix?: string;
}

/** The ids of the mails in the queue: two for a long list; none when nobody is subscribed. */
export async function sendPost(host: Host, list: List, post: Post): Promise<string[]> {
  return list.withLock("lock", async () => {
    const sending = new Sending(host, list, post);
    try {
      return await sending.run();
    } catch (error) {
      sending.abandon(error);
      throw error;
    }
  });
}

class Sending {
  private readonly host: Host;
  private readonly list: List;
  private readonly post: Post;
  private readonly before: ListNumber;
  private readonly number: number;
  /** Set on a re-run: the cumulative size was counted then. */
  private readonly reserved: PostReservation | undefined;
  private readonly distribution: Distribution;
  private archive: ArchiveFile | undefined;
  private indexed = false;
  private counted = false;

  constructor(host: Host, list: List, post: Post) {
    this.host = host;
    this.list = list;
    this.post = post;
    this.before = lastNumber(host, list, "ezmlm-send");
    const prior =
      host.deliveryKey === undefined ? undefined : list.store.reservedPost(host.deliveryKey);
    this.reserved = prior && prior.number > 0 ? prior : undefined;
    this.number = this.reserved?.number ?? this.before.number + 1;
    const { prefix, range } = post;
    this.distribution = new Distribution({
      queue: host.queue,
      subscribers: list.db(),
      range,
      prefix,
      run: this.reserved ?? (host.deliveryKey === undefined ? "once" : "first"),
    });
  }

  async run(): Promise<string[]> {
    const { list, post, number } = this;
    const { fields } = post.message;
    const { headers, body } = post.rules(number);
    const { outgoing, archived } = postHeaders(fields, headers);
    if (list.has("archived")) this.openArchive(archived);
    this.distribution.put(headerBytes(outgoing));
    this.distribution.put(Buffer.from("\n"));
    const bytes = await this.copyBody(fields, body);
    const cumulative = this.reserved?.cumulative ?? this.before.cumulative + sizeUnits(bytes);
    this.store(list.has("indexed") ? indexEntry(number, fields, headers.prefix) : undefined);
    const mark = await this.distribution.part();
    this.record({ number, cumulative, ...(mark === undefined ? {} : { mark }) });
    const { local, host } = list;
    return this.distribution.send(`${local}-return-${post.parentNumber ?? number}-@${host}-@[]`);
  }

  /** Archive file and index entry; both written before either is synced, so that one commit of the file system serves both. */
  private store(entry: IndexEntry | undefined): void {
    const { list, archive } = this;
    archive?.finish();
    if (entry) {
      this.indexed = true;
      writeIndexEntry(list, entry, { keepLater: this.reserved !== undefined });
    }
    archive?.sync();
    if (entry) syncIndex(list, entry.number);
  }

  private openArchive(archived: readonly HeaderField[]): void {
    const path = archivePath(this.list, this.number);
    if (this.reserved && isArchived(path)) return;
    this.archive = new ArchiveFile(path);
    const sender = quoteAddress(this.post.sender).replace(/[\0\r\n]/g, "_");
    this.archive.put(Buffer.from(`Return-Path: <${sender}>\n`));
    this.archive.put(headerBytes(archived));
    this.archive.put(Buffer.from("\n"));
  }

  /** Bytes of the body as it came in. */
  private async copyBody(
    fields: readonly HeaderField[],
    rules: Parameters<typeof postBody>[1],
  ): Promise<number> {
    const { distribution, archive } = this;
    const body = postBody(
      fields,
      rules,
      (bytes) => distribution.put(bytes),
      (bytes) => archive?.put(bytes),
    );
    let size = 0;
    for await (const chunk of this.post.message.body()) {
      size += chunk.length;
      body.push(chunk);
      if (distribution.full) await distribution.drained();
    }
    body.end();
    if (!body.hasParts) {
      throw new PermanentError(catalogue(this.host, this.list, "ERR_BAD_ALL"));
    }
    return size;
  }

  /** From here on the number is this post's: reservation first, then what others see. */
  private record(value: PostReservation): void {
    const { host, list } = this;
    const now = unixSeconds(host.now());
    if (host.deliveryKey !== undefined && !this.reserved) {
      list.store.reservePost(host.deliveryKey, value, now);
      if (value.number % FORGET_EVERY === 0) list.store.forgetPosts(now - RESERVATION_SECONDS);
    }
    this.archive?.publish();
    if (value.number > this.before.number) {
      writeNumber(list, value);
      this.counted = true;
    }
  }

  /** Something failed. Who may come again keeps the number, and so does who is out in part; others give it back. */
  abandon(error: unknown): void {
    const { host, list, number } = this;
    this.distribution.abort();
    this.archive?.abort();
    const isFinal = error instanceof PermanentError;
    if (host.deliveryKey !== undefined && (!isFinal || this.distribution.isOut)) return;
    // A re-run of a post that others came after has not counted it, and leaves their entries alone.
    if (this.indexed && !this.reserved) dropIndexEntry(list, number);
    if (!this.counted) return;
    writeNumber(list, this.before);
    rmSync(archivePath(list, number), { force: true });
    if (host.deliveryKey !== undefined) {
      list.store.reservePost(host.deliveryKey, { number: 0, cumulative: 0 }, 0);
    }
  }
}
