/**
 * What a connection is about to write, in one reused buffer, so that a turn costs one write and no
 * allocation. Large bodies bypass it, in order.
 */
import type { Writable } from "node:stream";
import { type ConnectionResources, WRITE_BYTES } from "./connection-resources.ts";

/** Bodies up to this are copied behind the commands; a copy is cheaper than a second write. */
const COPY_LIMIT = 16384;

export class SendBuffer {
  private readonly resources: ConnectionResources;
  private socket: Writable;
  /** Whether a write may be over only after it returned, as with TLS. */
  private deferred = false;
  private buffer: Buffer | undefined;
  private length = 0;

  constructor(resources: ConnectionResources, socket: Writable) {
    this.resources = resources;
    this.socket = socket;
  }

  /** From now on write there (STARTTLS). */
  redirect(socket: Writable): void {
    this.socket = socket;
    this.deferred = true;
  }

  text(text: string): void {
    if (text === "") return;
    if (this.length + text.length * 3 > WRITE_BYTES) {
      this.flush();
      if (text.length * 3 > WRITE_BYTES) {
        this.socket.write(text);
        return;
      }
    }
    this.buffer ??= this.resources.takeBuffer();
    this.length += this.buffer.write(text, this.length);
  }

  /** The bytes must not change afterwards. */
  bytes(bytes: Buffer): void {
    if (bytes.length > COPY_LIMIT) {
      this.flush();
      this.socket.write(bytes);
      return;
    }
    if (this.length + bytes.length > WRITE_BYTES) this.flush();
    this.buffer ??= this.resources.takeBuffer();
    bytes.copy(this.buffer, this.length);
    this.length += bytes.length;
  }

  flush(): void {
    const { buffer, socket } = this;
    if (!buffer || this.length === 0) return;
    const out = buffer.subarray(0, this.length);
    this.buffer = undefined;
    this.length = 0;
    if (this.deferred) {
      socket.write(out, () => this.resources.giveBuffer(buffer));
      return;
    }
    socket.write(out);
    // Else the kernel has not taken it all, and the buffer is the socket's.
    if (socket.writableLength === 0) this.resources.giveBuffer(buffer);
  }
}
