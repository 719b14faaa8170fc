/**
 * One message on its way into the queue. A small mail is held back until `commit` and leaves as one
 * frame. Of a larger one frames leave in the order of the calls, and never more than CREDIT_WINDOW
 * bytes are under way before the server gives credit.
 */
import { isUtf8 } from "node:buffer";
import { PermanentError, TemporaryError } from "../../lib/errors.ts";
import type { QueueReceipt, Submission, Urgency } from "../../lib/queue-door.ts";
import { BODY_CHUNK, CREDIT_WINDOW, type Verdict } from "./protocol.ts";
import type { QueueMessage } from "./queue-messages.ts";

/** What a submission needs of its connection. */
export interface SubmissionCarrier {
  readonly congested: boolean;
  /** Whether the server takes one more open session; if not, `credit(0)` comes when it does. */
  admit(session: number): boolean;
  send(message: QueueMessage): void;
  forget(session: number): void;
  drained(): Promise<void>;
}

/** What the queue is told of a message before its first byte. */
export interface SubmissionHead {
  readonly key: string;
  readonly urgency: Urgency;
  readonly prefix: string;
}

const NUL = Buffer.of(0);

/** What was given so far, while one frame can hold it. */
interface Small {
  readonly body: Buffer[];
  sender: string | undefined;
  /** Each ended by NUL. */
  recipients: string;
  sizeBytes: number;
}

export class QueueSubmission implements Submission {
  private readonly carrier: SubmissionCarrier;
  private readonly session: number;
  private readonly head: SubmissionHead;
  /** undefined: too much for one frame, or too unusual. */
  private small: Small | undefined = { body: [], sender: undefined, recipients: "", sizeBytes: 0 };
  /** Pieces of the frame being filled, and which kind of frame it is. */
  private held: Buffer[] = [];
  private heldBytes = 0;
  private holding: "body" | "recipients" = "body";
  /** Complete messages that wait for credit; the commit stands last. */
  private waiting: QueueMessage[] = [];
  private window = CREDIT_WINDOW;
  private opened = false;
  private committing = false;
  private ended = false;
  private failure: Error | undefined;
  private room: { promise: Promise<void>; resolve: () => void } | undefined;
  private settle:
    | { resolve: (receipt: QueueReceipt) => void; reject: (error: Error) => void }
    | undefined;

  constructor(carrier: SubmissionCarrier, session: number, head: SubmissionHead) {
    this.carrier = carrier;
    this.session = session;
    this.head = head;
  }

  /** Buffers are not copied: leave them alone until the commit. */
  put(bytes: Uint8Array | string): void {
    const buffer = typeof bytes === "string" ? Buffer.from(bytes) : viewOf(bytes);
    const small = this.staysSmall(buffer.length);
    if (small) {
      small.body.push(buffer);
      return;
    }
    if (this.holding !== "body") this.release("body");
    for (let at = 0; at < buffer.length; ) {
      const take = Math.min(BODY_CHUNK - this.heldBytes, buffer.length - at);
      this.hold(buffer.subarray(at, at + take));
      at += take;
      if (this.heldBytes >= BODY_CHUNK) this.release("body");
    }
  }

  from(sender: string): void {
    const { small } = this;
    if (small && small.sender === undefined) {
      small.sender = sender;
      return;
    }
    this.unfold(); // a second sender is for the server to refuse
    this.release(this.holding);
    this.pass({ type: "sender", session: this.session, address: sender });
  }

  to(recipient: string): void {
    const small = this.staysSmall(Buffer.byteLength(recipient) + 1);
    if (small) {
      small.recipients += `${recipient}\0`;
      return;
    }
    if (this.holding !== "recipients") this.release("recipients");
    this.hold(Buffer.from(recipient));
    this.hold(NUL);
    if (this.heldBytes >= BODY_CHUNK) this.release("recipients");
  }

  /** Passed on as it is, in frames of whole addresses. */
  toPacked(packed: Buffer): void {
    // One frame carries them as text, which holds UTF-8 only; what else it is the server has to see.
    const small = this.staysSmall(isUtf8(packed) ? packed.length : BODY_CHUNK + 1);
    if (small) {
      small.recipients += packed.toString("utf8");
      return;
    }
    this.release("recipients");
    for (let at = 0; at < packed.length; ) {
      let end = Math.min(at + BODY_CHUNK, packed.length);
      if (end < packed.length) {
        const cut = packed.lastIndexOf(0, end - 1) + 1;
        // No address is as long as a frame; one that pretends to be is the server's to refuse.
        if (cut > at) end = cut;
      }
      this.hold(packed.subarray(at, end));
      this.release("recipients");
      at = end;
    }
  }

  get full(): boolean {
    return !this.ended && (this.waiting.length > 1 || this.carrier.congested);
  }

  async drained(): Promise<void> {
    while (!this.ended && this.full) {
      if (this.waiting.length > 1) {
        if (!this.room) {
          let resolve = (): void => {};
          const promise = new Promise<void>((done) => {
            resolve = done;
          });
          this.room = { promise, resolve };
        }
        await this.room.promise;
      } else {
        await this.carrier.drained();
      }
    }
  }

  commit(): Promise<QueueReceipt> {
    if (this.failure) return Promise.reject(this.failure);
    if (this.ended || this.committing) return Promise.reject(new Error("commit without open"));
    return new Promise((resolve, reject) => {
      this.settle = { resolve, reject };
      this.committing = true;
      const { small, session } = this;
      if (small?.sender !== undefined && this.carrier.admit(session)) {
        const { sender, recipients, body } = small;
        this.opened = true;
        this.carrier.send({ type: "mail", session, ...this.head, sender, recipients, body });
        return;
      }
      this.unfold();
      this.release("body");
      this.pass({ type: "commit", session });
    });
  }

  /** What is held back, should `bytes` more still fit; else it leaves in frames, the rest after it. */
  private staysSmall(bytes: number): Small | undefined {
    const { small } = this;
    if (!small) return undefined;
    small.sizeBytes += bytes;
    if (small.sizeBytes <= BODY_CHUNK) return small;
    this.unfold();
    return undefined;
  }

  private unfold(): void {
    const { small } = this;
    if (!small) return;
    this.small = undefined;
    for (const piece of small.body) this.put(piece);
    if (small.sender !== undefined) this.from(small.sender);
    if (small.recipients !== "") this.toPacked(Buffer.from(small.recipients));
  }

  abort(): void {
    if (this.ended) return;
    if (this.opened) this.carrier.send({ type: "abort", session: this.session });
    this.fail(new TemporaryError("aborted (#4.3.0)"));
  }

  /** The server makes room for `bytes` more. */
  credit(bytes: number): void {
    this.window += bytes;
    const waiting = this.waiting;
    this.waiting = [];
    for (const message of waiting) this.pass(message);
    if (this.waiting.length <= 1) this.makeRoom();
  }

  accepted(id: number): void {
    this.finish();
    this.settle?.resolve({ id: String(id) });
  }

  /** A verdict may come before the commit; then the commit rejects with it. */
  refused(verdict: Verdict, text: string): void {
    this.fail(verdict === "D" ? new PermanentError(text) : new TemporaryError(text));
  }

  fail(error: Error): void {
    if (this.ended) return;
    this.failure = error;
    this.finish();
    this.settle?.reject(error);
  }

  private finish(): void {
    this.ended = true;
    this.held = [];
    this.small = undefined;
    this.waiting = [];
    this.carrier.forget(this.session);
    this.makeRoom();
  }

  private makeRoom(): void {
    this.room?.resolve();
    this.room = undefined;
  }

  private hold(piece: Buffer): void {
    if (this.ended) return;
    this.held.push(piece);
    this.heldBytes += piece.length;
  }

  /** Pass on the frame being filled; the next one holds `next`. */
  private release(next: "body" | "recipients"): void {
    if (this.heldBytes > 0) {
      const [first] = this.held;
      const bytes = this.held.length === 1 && first ? first : Buffer.concat(this.held);
      const session = this.session;
      if (this.holding === "body") this.pass({ type: "body", session, bytes });
      else this.pass({ type: "recipients", session, packed: bytes });
      this.held = [];
      this.heldBytes = 0;
    }
    this.holding = next;
  }

  /** Send now, or keep the message in line behind those that wait for credit. */
  private pass(message: QueueMessage): void {
    if (this.ended) return;
    const cost = costOf(message);
    if (this.waiting.length > 0 || cost > this.window) {
      this.waiting.push(message);
      return;
    }
    if (!this.opened) {
      if (!this.carrier.admit(this.session)) {
        this.waiting.push(message);
        return;
      }
      this.opened = true;
      this.carrier.send({ type: "open", session: this.session, ...this.head });
    }
    this.window -= cost;
    this.carrier.send(message);
  }
}

/** Bytes a message takes out of the credit window: what it carries, not its frame. */
export function costOf(message: QueueMessage): number {
  if (message.type === "body") return message.bytes.length;
  return message.type === "recipients" ? message.packed.length : 0;
}

function viewOf(bytes: Uint8Array): Buffer {
  if (Buffer.isBuffer(bytes)) return bytes;
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}
