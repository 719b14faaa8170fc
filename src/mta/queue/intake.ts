/**
 * Taking messages in: the one way from receiving to todo, for socket clients, drop files and our own
 * bounces. Puts the Received line on top, checks addresses, decides between memory and spill, and
 * accepts. All messages together hold at most BUDGET bytes in memory; beyond it new bytes go to disk.
 */

import { isUtf8 } from "node:buffer";
import { statfs } from "node:fs/promises";
import { join } from "node:path";
import { isBounceSender } from "../../lib/address.ts";
import { date822, unixSeconds } from "../../lib/date822.ts";
import { isPrefixTemplate } from "../../lib/header-prefix.ts";
import { type Urgency, urgencies } from "../../lib/queue-door.ts";
import { SMALL_BODY, type Verdict } from "../channel/protocol.ts";
import type { Router } from "../send/route.ts";
import { ADDRESS_LIMIT } from "./drop-file.ts";
import type { Failpoint } from "./failpoint.ts";
import { unpackAddresses } from "./packed.ts";
import { planJobs } from "./plan.ts";
import type { QueueStore } from "./queue.ts";
import { SpillBuffer } from "./spill.ts";
import { classOf, isWhole, newRow } from "./states.ts";
import type { Expansion, FirstSlice, MessageClass, NewMessage } from "./work.ts";

/** Bytes of all messages being received that may stay in memory. */
const BUDGET = 64 << 20;
const SMALL_ENVELOPE = 65536;
/** Recipients that are made into jobs before the commit: a slot's worth, so that it need not wait for more. */
const FIRST_SLICE = 200;
/** Of a spilled envelope so much stays in memory: its recipients need not wait for the rest. */
const FIRST_BYTES = 4096;
/** Below this much free space nothing is accepted: the rest is for marks. */
const FREE_SPACE_FLOOR = 32 << 20;
const SPACE_CHECK_MS = 1000;
/** Longest submission key. */
export const KEY_LIMIT = 1000;

export type IntakeAnswer =
  | { readonly accepted: true; readonly id: number; readonly repeat: boolean }
  | { readonly accepted: false; readonly verdict: Verdict; readonly text: string };

export const WRITE_ERROR = "qq write error or disk full (#4.3.0)";
export const ADDRESS_TOO_LONG = "envelope address too long for qq (#5.1.3)";
export const BAD_ENVELOPE = "qq envelope format error (#5.5.4)";

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
  private held = 0;
  private dated = { second: -1, text: "" };
  private spaceCheckedAt = 0;
  private freeBytes = Number.POSITIVE_INFINITY;

  constructor(options: IntakeOptions) {
    this.options = options;
    this.mess = join(options.home, "queue", "mess");
    this.lastId = options.lastId;
  }

  open(origin: Origin): IncomingMessage {
    const id = ++this.lastId;
    this.receiving.add(id);
    return new IncomingMessage(this, id, origin);
  }

  /** Now, for a Received line; made once a second. */
  date(): string {
    const now = this.options.now();
    const second = Math.floor(now.getTime() / 1000);
    if (second !== this.dated.second) this.dated = { second, text: date822(now) };
    return this.dated.text;
  }

  /** Whether `bytes` more may stay in memory. */
  mayHold(bytes: number): boolean {
    return this.held + bytes <= BUDGET;
  }

  holds(change: number): void {
    this.held += change;
  }

  async hasSpace(): Promise<boolean> {
    const now = this.options.now().getTime();
    if (Math.abs(now - this.spaceCheckedAt) >= SPACE_CHECK_MS) {
      this.spaceCheckedAt = now;
      const fs = await statfs(this.mess);
      this.freeBytes = fs.bavail * fs.bsize;
    }
    return this.freeBytes >= FREE_SPACE_FLOOR;
  }
}

export class IncomingMessage {
  readonly id: number;
  private readonly intake: Intake;
  private readonly origin: Origin;
  private readonly body: SpillBuffer;
  private readonly envelope: SpillBuffer;
  private sender: string | undefined;
  /** The beginning of the envelope (its last address may be cut off), should the rest be spilled. */
  private firstRecipients: Buffer | undefined;
  private counted = 0;
  private refusal: { verdict: Verdict; text: string } | undefined;
  private over = false;

  constructor(intake: Intake, id: number, origin: Origin) {
    this.intake = intake;
    this.id = id;
    this.origin = origin;
    const dir = intake.mess;
    this.body = new SpillBuffer({
      dir,
      name: String(id),
      limitBytes: SMALL_BODY,
      hashed: true,
    });
    this.envelope = new SpillBuffer({
      dir,
      name: `${id}.envelope`,
      limitBytes: SMALL_ENVELOPE,
      hashed: false,
    });
    const received = `Received: (qmail ${id} invoked ${origin.phrase}); ${intake.date()}\n`;
    void this.body.add(Buffer.from(received, "latin1"));
  }

  /** Bytes taken from the client: when the promise (if any) resolves they are out of memory. */
  addBody(bytes: Buffer): Promise<void> | undefined {
    return this.add(this.body, bytes);
  }

  setSender(sender: string): void {
    if (Buffer.byteLength(sender) > ADDRESS_LIMIT) this.refuse("D", ADDRESS_TOO_LONG);
    else if (/[\0\ufffd]/.test(sender) || this.sender !== undefined) this.refuse("D", BAD_ENVELOPE);
    else this.sender = sender;
  }

  /** Whole addresses, each ended by NUL. */
  addRecipients(packed: Buffer): Promise<void> | undefined {
    if (packed.length > 0 && (packed.at(-1) !== 0 || !isUtf8(packed))) {
      this.refuse("D", BAD_ENVELOPE);
      return undefined;
    }
    for (let at = 0; at < packed.length; ) {
      const end = packed.indexOf(0, at);
      if (end - at > ADDRESS_LIMIT) this.refuse("D", ADDRESS_TOO_LONG);
      if (end === at) this.refuse("D", BAD_ENVELOPE);
      at = end + 1;
    }
    this.firstRecipients ??= Buffer.from(packed.subarray(0, FIRST_BYTES));
    return this.add(this.envelope, packed);
  }

  private refuse(verdict: Verdict, text: string): void {
    this.refusal ??= { verdict, text };
  }

  private add(to: SpillBuffer, bytes: Buffer): Promise<void> | undefined {
    if (this.over || this.refusal) return undefined;
    const written = to.add(bytes, !this.intake.mayHold(bytes.length));
    this.count();
    return written?.then(() => this.count());
  }

  private count(): void {
    const now = this.over ? 0 : this.body.memoryBytes + this.envelope.memoryBytes + FIRST_BYTES;
    this.intake.holds(now - this.counted);
    this.counted = now;
  }

  /** Durable when it answers with accepted; nothing is left when it does not. Never rejects. */
  async commit(): Promise<IntakeAnswer> {
    try {
      const answer = await this.tryCommit();
      if (!answer.accepted || answer.repeat) await this.discard();
      return answer;
    } catch {
      await this.discard().catch(() => {}); // the sweep removes what is left
      return { accepted: false, verdict: "Z", text: WRITE_ERROR };
    } finally {
      this.end();
    }
  }

  private async tryCommit(): Promise<IntakeAnswer> {
    const { options } = this.intake;
    const trouble = options.refusing();
    if (trouble !== undefined) this.refuse("Z", trouble);
    else if (!(await this.intake.hasSpace())) this.refuse("Z", WRITE_ERROR);
    const { key, prefix } = this.origin;
    if (this.sender === undefined || key.length > KEY_LIMIT) this.refuse("D", BAD_ENVELOPE);
    if (!isPrefixTemplate(prefix)) this.refuse("D", BAD_ENVELOPE);
    if (this.refusal) return { accepted: false, ...this.refusal };
    const message = await this.message(this.sender ?? "");
    if (message.body === null) options.failpoint.hit("spill-written");
    const slice = this.firstSlice(message);
    const { id, repeat, jobIds } = await options.queue.accept(message, slice);
    const expansion = slice && jobIds ? expansionOf(message, slice, jobIds) : undefined;
    if (!repeat) options.accepted(message, expansion);
    return { accepted: true, id, repeat };
  }

  /** Jobs of the recipients that are in memory, up to a slice. */
  private firstSlice(message: NewMessage): FirstSlice | null {
    const router = this.intake.options.router();
    const known = message.envelope ?? this.firstRecipients;
    if (!router || !known) return null;
    const bytes = Buffer.from(known.buffer, known.byteOffset, known.length);
    const { addresses, end } = unpackAddresses(bytes, 0, FIRST_SLICE);
    // The file of a spilled envelope goes with its last slice, which is expanded from it.
    const isLast = end >= message.envelopeBytes;
    if (addresses.length === 0 || (isLast && message.envelope === null)) return null;
    return { jobs: planJobs(message, addresses, 0, router), cursor: end };
  }

  /** The row to be, with its bytes durable or in memory. */
  async message(sender: string): Promise<NewMessage> {
    const body = await this.body.finish();
    const envelope = await this.envelope.finish();
    const urgency = isBounceSender(sender) ? "reply" : this.origin.urgency;
    const asked = urgencies.indexOf(urgency) as MessageClass;
    const envelopeBytes = envelope.sizeBytes;
    return {
      id: this.id,
      class: classOf({ class: asked, envelopeBytes }),
      born: unixSeconds(this.intake.options.now()),
      uid: this.origin.uid,
      sender,
      sizeBytes: body.sizeBytes,
      bodyType: body.ascii ? 0 : 1,
      hash: body.hash,
      body: body.bytes,
      envelope: envelope.bytes,
      envelopeBytes,
      key: this.origin.key,
      prefix: this.origin.prefix,
    };
  }

  async abort(): Promise<void> {
    if (this.over) return;
    try {
      await this.discard();
    } catch {
      // The sweep removes what is left.
    }
    this.end();
  }

  /** A message that was committed by somebody else's transaction is not ours any more. */
  end(): void {
    this.over = true;
    this.count();
    this.intake.receiving.delete(this.id);
  }

  private async discard(): Promise<void> {
    await this.body.discard();
    await this.envelope.discard();
  }
}

/** What expanding it later would have told the scheduler. */
function expansionOf(message: NewMessage, slice: FirstSlice, ids: readonly number[]): Expansion {
  const { id, born, uid, sender, sizeBytes: size, bodyType, prefix } = message;
  const spilled = message.body === null ? 1 : 0;
  return {
    begun: true,
    message: { id, class: message.class, born, uid, sender, size, bodyType, spilled, prefix },
    jobs: slice.jobs.map((job, at) => newRow(job, ids[at] as number)),
    finished: isWhole(message, slice),
    envelopeSpilled: message.envelope === null,
    end: undefined,
  };
}
