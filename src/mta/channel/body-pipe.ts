/**
 * Chunks of one fetched body between the channel that receives them and whoever reads them: as they
 * come, or, when the body is known to be small, all at once.
 */
import type { Socket } from "node:net";

const HIGH_BYTES = 1 << 20;

/** What a channel gives the chunks of a body to. */
export interface BodyReader {
  /** Ask for the body; called when the reader before us on the same message is done. */
  start: () => void;
  push(bytes: Buffer, last: boolean): void;
  fail(error: Error): void;
}

/** A small body in one piece. */
export class WholeBody implements BodyReader {
  start: () => void = () => {};
  readonly bytes: Promise<Buffer>;
  private readonly parts: Buffer[] = [];
  private resolve: (bytes: Buffer) => void = () => {};
  private reject: (error: Error) => void = () => {};

  constructor() {
    this.bytes = new Promise((resolve, reject) => {
      this.resolve = resolve;
      this.reject = reject;
    });
  }

  push(bytes: Buffer, last: boolean): void {
    // The frame is a view into what the socket read; we keep the body longer.
    if (bytes.length > 0) this.parts.push(Buffer.from(bytes));
    if (!last) return;
    const [first] = this.parts;
    this.resolve(first && this.parts.length === 1 ? first : Buffer.concat(this.parts));
  }

  fail(error: Error): void {
    this.reject(error);
  }
}

/** With a socket of its own the pipe pauses it while more than HIGH_BYTES wait. */
export class BodyPipe implements BodyReader {
  /** Ask for the body; called when the reader before us on the same message is done. */
  start: () => void = () => {};
  private readonly socket: Socket | undefined;
  private queue: Buffer[] = [];
  private queuedBytes = 0;
  private complete = false;
  private abandoned = false;
  private error: Error | undefined;
  private wake: (() => void) | undefined;

  constructor(socket: Socket | undefined) {
    this.socket = socket;
  }

  push(bytes: Buffer, last: boolean): void {
    if (!this.abandoned && bytes.length > 0) {
      // The frame is a view into what the socket read; the reader may be late.
      this.queue.push(Buffer.from(bytes));
      this.queuedBytes += bytes.length;
      if (this.queuedBytes > HIGH_BYTES) this.socket?.pause();
    }
    if (last) this.complete = true;
    this.wake?.();
  }

  fail(error: Error): void {
    this.error = error;
    this.wake?.();
  }

  /** The body; ends early, without harm, when the reader stops asking. */
  async *chunks(): AsyncIterable<Buffer> {
    try {
      for (;;) {
        const ready = this.queue;
        this.queue = [];
        this.queuedBytes = 0;
        this.socket?.resume();
        yield* ready;
        if (this.queue.length > 0) continue;
        if (this.complete) return;
        if (this.error) throw this.error;
        await new Promise<void>((resolve) => {
          this.wake = resolve;
        });
        this.wake = undefined;
      }
    } finally {
      this.abandoned = true;
      this.queue = [];
    }
  }
}
