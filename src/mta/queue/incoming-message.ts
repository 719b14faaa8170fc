/**
 * A message that comes in pieces, of any size: large bodies and envelopes go to spills while they
 * arrive. Nothing is left of one that was not committed.
 */
import { SMALL_BODY, type Verdict } from "../channel/protocol.ts";
import type { Intake, Origin } from "./intake.ts";
import {
  BAD_ENVELOPE,
  DISK_FULL,
  type IntakeAnswer,
  originTrouble,
  recipientsTrouble,
  senderTrouble,
  WRITE_ERROR,
} from "./intake-answer.ts";
import { SpillBuffer } from "./spill.ts";
import type { NewMessage } from "./work.ts";

const SMALL_ENVELOPE = 65536;
/** Of a spilled envelope so much stays in memory: its recipients need not wait for the rest. */
const FIRST_BYTES = 4096;

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
  /** It will not be taken: what still comes of it is not kept. */
  refusal: { readonly verdict: Verdict; readonly text: string } | undefined;
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
    void this.body.add(Buffer.from(intake.received(id, origin), "latin1"));
  }

  /** Bytes taken from the client: when the promise (if any) resolves they are out of memory. */
  addBody(bytes: Buffer): Promise<void> | undefined {
    return this.add(this.body, bytes);
  }

  setSender(sender: string): void {
    const trouble = this.sender === undefined ? senderTrouble(sender) : BAD_ENVELOPE;
    if (trouble !== undefined) this.refuse("D", trouble);
    else this.sender = sender;
  }

  /** Whole addresses, each ended by NUL. */
  addRecipients(packed: Buffer): Promise<void> | undefined {
    const trouble = recipientsTrouble(packed);
    if (trouble !== undefined) {
      this.refuse("D", trouble);
      return undefined;
    }
    this.firstRecipients ??= Buffer.from(packed.subarray(0, FIRST_BYTES));
    return this.add(this.envelope, packed);
  }

  private fail(error: unknown): void {
    this.intake.options.trouble("unable to accept mail", error);
    this.refuse("Z", WRITE_ERROR);
  }

  private refuse(verdict: Verdict, text: string): void {
    this.refusal ??= { verdict, text };
  }

  private add(to: SpillBuffer, bytes: Buffer): Promise<void> | undefined {
    if (this.over || this.refusal) return undefined;
    const written = to.add(bytes, !this.intake.mayHold(bytes.length));
    this.count();
    return written?.then(() => {
      if (to.failure && !this.refusal) this.fail(to.failure);
      this.count();
    });
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
    } catch (error) {
      this.fail(error);
      await this.abort();
      return { accepted: false, verdict: "Z", text: WRITE_ERROR };
    } finally {
      this.end();
    }
  }

  private async tryCommit(): Promise<IntakeAnswer> {
    const { options } = this.intake;
    const trouble = options.refusing();
    if (trouble !== undefined) this.refuse("Z", trouble);
    else if (!(await this.intake.hasSpace())) this.refuse("Z", DISK_FULL);
    const unfit = this.sender === undefined ? BAD_ENVELOPE : originTrouble(this.origin);
    if (unfit !== undefined) this.refuse("D", unfit);
    if (this.refusal) return { accepted: false, ...this.refusal };
    const message = await this.message(this.sender ?? "");
    if (message.body === null) options.failpoint.hit("spill-written");
    return this.intake.accept(message, message.envelope ?? this.firstRecipients);
  }

  /** The row to be, with its bytes durable or in memory. */
  async message(sender: string): Promise<NewMessage> {
    const body = await this.body.finish();
    const envelope = await this.envelope.finish();
    return this.intake.row(this.id, this.origin, sender, body, envelope);
  }

  async abort(): Promise<void> {
    if (this.over) return;
    try {
      await this.discard();
    } catch (error) {
      this.intake.options.trouble("unable to remove what was not accepted", error);
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
