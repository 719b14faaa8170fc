/**
 * One end of a channel: typed messages over a stream socket. Messages written in one turn leave in
 * one write; after `gather`, those of a busy time do. A peer that sends garbage is closed, never
 * trusted with a second try.
 */
import type { Duplex } from "node:stream";
import { type Frame, FrameWriter } from "../../lib/frame.ts";
import { channelReader } from "./protocol.ts";

/** So much leaves at once: the peer works on it while we make the next. */
const LARGE_BYTES = 65_536;

export interface ChannelEvents<In> {
  message(message: In): void;
  /** Once, with the error when it was not an orderly end. */
  closed(error?: Error): void;
}

export class Channel<In, Out> {
  private readonly socket: Duplex;
  private readonly write: (out: FrameWriter, message: Out) => void;
  private readonly out = new FrameWriter();
  private gatherMs = 0;
  private scheduled = false;
  private flushedAt = 0;
  private ended = false;

  constructor(
    socket: Duplex,
    write: (out: FrameWriter, message: Out) => void,
    read: (frame: Frame) => In,
    events: ChannelEvents<In>,
  ) {
    this.socket = socket;
    this.write = write;
    const reader = channelReader();
    socket.on("data", (chunk: Buffer) => {
      if (this.ended) return;
      try {
        reader.push(chunk, (frame) => {
          // Nothing counts behind what made us give the peer up.
          if (!socket.destroyed) events.message(read(frame));
        });
      } catch (error) {
        this.finish(events, error instanceof Error ? error : new Error(String(error)));
      }
    });
    socket.on("error", (error) => this.finish(events, error));
    socket.on("close", () => this.finish(events));
    socket.on("end", () => this.finish(events));
  }

  private finish(events: ChannelEvents<In>, error?: Error): void {
    if (this.ended) return;
    this.ended = true;
    this.socket.destroy();
    events.closed(error);
  }

  get closed(): boolean {
    return this.ended;
  }

  /**
   * From now on a write that follows another one sooner waits this long for company. Each write wakes the
   * peer, which costs more than a small message.
   */
  gather(milliseconds: number): void {
    this.gatherMs = milliseconds;
  }

  /** Bytes not yet taken by the kernel. */
  get backlogBytes(): number {
    return this.out.sizeBytes + this.socket.writableLength;
  }

  /** Queue a message; it leaves at the end of this turn of the event loop, or gathered. */
  send(message: Out): void {
    if (this.ended) return;
    this.write(this.out, message);
    if (this.out.sizeBytes > LARGE_BYTES) {
      this.flush();
    } else if (!this.scheduled) {
      this.scheduled = true;
      const now = this.gatherMs > 0 ? performance.now() : 0;
      if (now - this.flushedAt < this.gatherMs) setTimeout(this.leave, this.gatherMs);
      else setImmediate(this.leave);
      this.flushedAt = now;
    }
  }

  private readonly leave = (): void => {
    this.flush();
  };

  /** Hand everything to the socket now; false when the caller should wait for `drained`. */
  flush(): boolean {
    this.scheduled = false;
    if (this.ended || this.out.sizeBytes === 0) return true;
    return this.socket.write(this.out.take());
  }

  /** Resolves when the socket has room again (or is gone). */
  async drained(): Promise<void> {
    this.flush();
    if (this.ended || !this.socket.writableNeedDrain) return;
    await new Promise<void>((resolve) => {
      const done = (): void => {
        this.socket.off("drain", done);
        this.socket.off("close", done);
        resolve();
      };
      this.socket.on("drain", done);
      this.socket.on("close", done);
    });
  }

  pause(): void {
    this.socket.pause();
  }

  resume(): void {
    this.socket.resume();
  }

  /** Send what is queued, then close. */
  end(): void {
    this.flush();
    this.socket.end();
  }

  destroy(): void {
    this.socket.destroy();
  }
}
