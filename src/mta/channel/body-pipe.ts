/**
 * Chunks of one fetched body between the channel that receives them and the program that reads them.
 * With a socket of its own the pipe pauses it while more than HIGH_BYTES wait.
 */
import type { Socket } from "node:net";

const HIGH_BYTES = 1 << 20;

export class BodyPipe {
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
