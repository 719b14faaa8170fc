/**
 * Taking messages in: the one way from receiving to todo, for socket clients, drop files and our own
 * bounces. Puts the Received line on top, checks addresses, decides between memory and spill, and
 * accepts. All messages together hold at most BUDGET bytes in memory; beyond it new bytes go to disk.
 */

import { isAscii } from "node:buffer";
import { statfs } from "node:fs/promises";
import { join } from "node:path";
import { isBounceSender } from "../../lib/address.ts";
import { ClockDate, unixSeconds } from "../../lib/date822.ts";
import { type Urgency, urgencies } from "../../lib/queue-door.ts";
import type { Verdict } from "../channel/protocol.ts";
import type { WholeMail } from "../channel/queue-messages.ts";
import type { Router } from "../send/route.ts";
import type { Failpoint } from "./failpoint.ts";
import { IncomingMessage } from "./incoming-message.ts";
import {
  DISK_FULL,
  type IntakeAnswer,
  originTrouble,
  recipientsTrouble,
  senderTrouble,
  WRITE_ERROR,
} from "./intake-answer.ts";
import { unpackAddresses } from "./packed.ts";
import { planJobs } from "./plan.ts";
import type { QueueStore } from "./queue.ts";
import { type Collected, sha256 } from "./spill.ts";
import { classOf, isWhole, newRow } from "./states.ts";
import type { Expansion, FirstSlice, MessageClass, NewMessage } from "./work.ts";

/** Bytes of all messages being received that may stay in memory. */
const BUDGET = 64 << 20;
/** Recipients that are made into jobs before the commit: a slot's worth, so that it need not wait for more. */
const FIRST_SLICE = 200;
/** Below this much free space nothing is accepted: the rest is for marks. */
const FREE_SPACE_FLOOR = 32 << 20;
const SPACE_CHECK_MS = 1000;
export interface IntakeOptions {
  readonly home: string;
  readonly queue: QueueStore;
  readonly failpoint: Failpoint;
  /** Id of the newest message so far. */
  readonly lastId: number;
  now(): Date;
  /** A message was committed. Called before its client is answered. */
  accepted(message: NewMessage, expansion: Expansion | undefined): void;
  /** To make jobs of the first recipients at once; undefined: not now. */
  router(): Router | undefined;
  /** Why something was refused that its sender may send again. */
  trouble(what: string, error: unknown): void;
  /** Why nothing can be taken now, as a verdict text; undefined: go on. */
  refusing(): string | undefined;
}

export interface Origin {
  readonly uid: number;
  /** `from network`, `by alias`, `by uid 7`, `for bounce`. qmail reference 7.1 */
  readonly phrase: string;
  readonly key: string;
  readonly urgency: Urgency;
  /** What each copy has in front of the message (lib/header-prefix.ts); "" nothing. */
  readonly prefix: string;
}

export class Intake {
  readonly options: IntakeOptions;
  readonly mess: string;
  private lastId: number;
  /** Ids whose spills must not be swept. */
  readonly receiving = new Set<number>();
  private readonly date: ClockDate;
  private held = 0;
  private spaceCheckedAt = 0;
  private freeBytes = Number.POSITIVE_INFINITY;

  constructor(options: IntakeOptions) {
    this.options = options;
    this.date = new ClockDate(options.now);
    this.mess = join(options.home, "queue", "mess");
    this.lastId = options.lastId;
  }

  open(origin: Origin): IncomingMessage {
    const id = ++this.lastId;
    this.receiving.add(id);
    return new IncomingMessage(this, id, origin);
  }

  /**
   * A small mail that is here whole; undefined: it must go through `open`, because memory is scarce or
   * the disk was not looked at for a while. One that was refused leaves nothing.
   */
  take(
    origin: Origin,
    mail: Pick<WholeMail, "sender" | "recipients" | "body">,
  ): Promise<IntakeAnswer> | undefined {
    const [bytes] = mail.body;
    const packed = Buffer.from(mail.recipients);
    const carried = (bytes?.length ?? 0) + packed.length;
    if (!bytes || packed.length === 0 || !this.mayHold(carried)) return undefined;
    if (!this.isSpaceKnown()) return undefined;
    const trouble = this.options.refusing() ?? (this.isFull() ? DISK_FULL : undefined);
    if (trouble !== undefined) return refused("Z", trouble);
    const unfit = senderTrouble(mail.sender) ?? recipientsTrouble(packed) ?? originTrouble(origin);
    if (unfit !== undefined) return refused("D", unfit);
    const id = ++this.lastId;
    const received = this.received(id, origin);
    const body = Buffer.allocUnsafe(received.length + bytes.length);
    body.write(received, "latin1");
    bytes.copy(body, received.length);
    const message = this.row(
      id,
      origin,
      mail.sender,
      { bytes: body, sizeBytes: body.length, ascii: isAscii(body), hash: sha256(body) },
      { bytes: packed, sizeBytes: packed.length },
    );
    this.holds(carried);
    const answer = this.accept(message, packed).catch((error: unknown): IntakeAnswer => {
      this.options.trouble("unable to accept mail", error);
      return { accepted: false, verdict: "Z", text: WRITE_ERROR };
    });
    void answer.then(() => this.holds(-carried));
    return answer;
  }

  /**
   * Commit a message whose bytes are durable or in memory. `first`: recipients from its beginning, the
   * last one perhaps cut off; those become jobs with the commit. Rejects when it is not queued.
   */
  async accept(message: NewMessage, first: Uint8Array | undefined): Promise<IntakeAnswer> {
    const { queue, accepted } = this.options;
    const slice = first ? this.firstSlice(message, first) : null;
    const { id, repeat, firstJob } = await queue.accept(message, slice);
    if (!repeat) accepted(message, slice ? expansionOf(message, slice, firstJob) : undefined);
    return { accepted: true, id, repeat };
  }

  private firstSlice(message: NewMessage, first: Uint8Array): FirstSlice | null {
    const router = this.options.router();
    if (!router) return null;
    const bytes = Buffer.from(first.buffer, first.byteOffset, first.length);
    const { addresses, end } = unpackAddresses(bytes, 0, FIRST_SLICE);
    // The file of a spilled envelope goes with its last slice, which is expanded from it.
    const isLast = end >= message.envelopeBytes;
    if (addresses.length === 0 || (isLast && message.envelope === null)) return null;
    return { jobs: planJobs(message, addresses, 0, router), cursor: end };
  }

  /** The row to be of a message from there. */
  row(
    id: number,
    origin: Origin,
    sender: string,
    body: Collected,
    envelope: Pick<Collected, "bytes" | "sizeBytes">,
  ): NewMessage {
    const urgency = isBounceSender(sender) ? "reply" : origin.urgency;
    const asked = urgencies.indexOf(urgency) as MessageClass;
    const envelopeBytes = envelope.sizeBytes;
    return {
      id,
      class: classOf({ class: asked, envelopeBytes }),
      born: unixSeconds(this.options.now()),
      uid: origin.uid,
      sender,
      sizeBytes: body.sizeBytes,
      bodyType: body.ascii ? 0 : 1,
      hash: body.hash,
      body: body.bytes,
      envelope: envelope.bytes,
      envelopeBytes,
      key: origin.key,
      prefix: origin.prefix,
    };
  }

  /** Our line on top of each message. qmail reference 7.1 */
  received(id: number, origin: Origin): string {
    return `Received: (qmail ${id} invoked ${origin.phrase}); ${this.date.text()}\n`;
  }

  /** Whether `bytes` more may stay in memory. */
  mayHold(bytes: number): boolean {
    return this.held + bytes <= BUDGET;
  }

  holds(change: number): void {
    this.held += change;
  }

  private isSpaceKnown(): boolean {
    return Math.abs(this.options.now().getTime() - this.spaceCheckedAt) < SPACE_CHECK_MS;
  }

  private isFull(): boolean {
    if (this.freeBytes >= FREE_SPACE_FLOOR) return false;
    this.options.trouble("unable to accept mail", "less than 32 MiB of disk are free");
    return true;
  }

  async hasSpace(): Promise<boolean> {
    if (!this.isSpaceKnown()) {
      this.spaceCheckedAt = this.options.now().getTime();
      const fs = await statfs(this.mess);
      this.freeBytes = fs.bavail * fs.bsize;
    }
    return !this.isFull();
  }
}

function refused(verdict: Verdict, text: string): Promise<IntakeAnswer> {
  return Promise.resolve({ accepted: false, verdict, text });
}

/** What expanding it later would have told the scheduler. */
function expansionOf(message: NewMessage, slice: FirstSlice, firstJob: number): Expansion {
  const { id, born, uid, sender, sizeBytes: size, bodyType, prefix } = message;
  const spilled = message.body === null ? 1 : 0;
  return {
    begun: true,
    message: { id, class: message.class, born, uid, sender, size, bodyType, spilled, prefix },
    jobs: slice.jobs.map((job, at) => newRow(job, firstJob + at)),
    finished: isWhole(message, slice),
    envelopeSpilled: message.envelope === null,
    end: undefined,
  };
}
