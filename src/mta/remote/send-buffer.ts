/**
 * What a connection is about to write, in one reused buffer, so that a turn costs one write and no
 * allocation. Large bodies bypass it, in order.
 */
import type { Writable } from "node:stream";

const SIZE = 32768;
/** Bodies up to this are copied behind the commands; a copy is cheaper than a second write. */
const COPY_LIMIT = 16384;

export class SendBuffer {
  private socket: Writable;
  private buffer = Buffer.allocUnsafe(SIZE);
  private length = 0;

  constructor(socket: Writable) {
    this.socket = socket;
  }

  /** From now on write there (STARTTLS). */
  redirect(socket: Writable): void {
    this.socket = socket;
  }

  text(text: string): void {
    if (text === "") return;
    if (this.length + text.length * 3 > this.buffer.length) {
      this.flush();
      if (text.length * 3 > this.buffer.length) {
        this.socket.write(text);
        return;
      }
    }
    this.length += this.buffer.write(text, this.length);
  }

  /** The bytes must not change afterwards. */
  bytes(bytes: Buffer): void {
    if (bytes.length > COPY_LIMIT) {
      this.flush();
      this.socket.write(bytes);
      return;
    }
    if (this.length + bytes.length > this.buffer.length) this.flush();
    bytes.copy(this.buffer, this.length);
    this.length += bytes.length;
  }

  flush(): void {
    if (this.length === 0) return;
    this.socket.write(this.buffer.subarray(0, this.length));
    this.length = 0;
    // The kernel has not taken it all: the buffer belongs to the socket until it has.
    if (this.socket.writableLength > 0) this.buffer = Buffer.allocUnsafe(SIZE);
  }
}
