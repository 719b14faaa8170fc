/**
 * A connection of a server as its protocol sees it: bytes in, text out, two ends. On a socket of `net` here,
 * on the handle below it in tcp-handle.ts, which costs half.
 */
import type { Socket } from "node:net";

/** What a peer does. None of these is called before the call that caused it has returned. */
export interface PeerEvents {
  /** Valid until it returns; may be written over. */
  received(bytes: Buffer): void;
  /** The peer sends no more; it may still read. */
  ended(): void;
  /** All that was written is with the kernel, and more may follow: not after `end`. */
  drained(): void;
  /** Once, at the end, whoever closed. */
  closed(): void;
}

export interface PeerSocket {
  /** Undefined when the peer is gone already. */
  readonly remoteAddress: string | undefined;
  readonly localAddress: string | undefined;
  /** No more comes and nothing leaves. */
  readonly isClosed: boolean;
  /** Whether something that was written waits for the peer. */
  readonly hasUnsent: boolean;
  /** Read, and tell what happens. */
  start(events: PeerEvents): void;
  /** One byte for each character. False: the caller should wait for `drained`. */
  write(text: string): boolean;
  pause(): void;
  resume(): void;
  /** Nothing follows what was written; the peer may go on. Closed when it has ended, too. */
  end(): void;
  /** The same, and closed without waiting for the peer. */
  endAndClose(): void;
  /** At once. */
  close(): void;
}

/** On `net`, whose server must allow connections that are half open. */
export class StreamSocket implements PeerSocket {
  private readonly socket: Socket;

  constructor(socket: Socket) {
    this.socket = socket;
    socket.on("error", () => {}); // `close` follows
  }

  get remoteAddress(): string | undefined {
    return this.socket.remoteAddress;
  }

  get localAddress(): string | undefined {
    return this.socket.localAddress;
  }

  get isClosed(): boolean {
    return this.socket.destroyed;
  }

  get hasUnsent(): boolean {
    return this.socket.writableLength > 0;
  }

  start(events: PeerEvents): void {
    this.socket.on("data", (bytes: Buffer) => events.received(bytes));
    this.socket.on("end", () => events.ended());
    this.socket.on("drain", () => events.drained());
    this.socket.on("close", () => events.closed());
  }

  write(text: string): boolean {
    return !this.socket.writable || this.socket.write(text, "latin1");
  }

  pause(): void {
    this.socket.pause();
  }

  resume(): void {
    this.socket.resume();
  }

  end(): void {
    this.socket.end();
  }

  endAndClose(): void {
    this.socket.destroySoon();
  }

  close(): void {
    this.socket.destroy();
  }
}
