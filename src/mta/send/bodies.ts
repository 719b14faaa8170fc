/**
 * Message bytes for whoever delivers: small ones from memory or the database, large ones streamed
 * from their spill. A peer proves with the token of the work it was given that it may read.
 */
import { randomBytes, timingSafeEqual } from "node:crypto";
import { open, readFile } from "node:fs/promises";
import { join } from "node:path";
import { isErrno } from "../../lib/errors.ts";
import { BODY_CHUNK } from "../channel/protocol.ts";
import type { QueueMessage } from "../channel/queue-messages.ts";
import type { Queue } from "../queue/queue.ts";

const CACHE_BYTES = 32 << 20;
/** So much is kept even of mail that is not about to be delivered. */
const SPARE_BYTES = 8 << 20;
const TOKEN_BYTES = 32;
const TOKENS_AT_ONCE = 128;

/** Where chunks go; a Channel. */
export interface ChunkSink {
  send(message: QueueMessage): void;
  drained(): Promise<void>;
  readonly closed: boolean;
}

export class Bodies {
  private readonly queue: Pick<Queue, "read">;
  private readonly mess: string;
  /** Of messages with work out. A keyed hash of the id would need no memory and cost 10 us a time. */
  private readonly tokens = new Map<number, Buffer>();
  private random = Buffer.alloc(0);
  /** Small bodies; when `fresh` has half of what may be kept it becomes `aged`, and what that held goes. */
  private fresh = new Map<number, Uint8Array>();
  private freshBytes = 0;
  private aged = new Map<number, Uint8Array>();

  constructor(queue: Pick<Queue, "read">, home: string) {
    this.queue = queue;
    this.mess = join(home, "queue", "mess");
  }

  /** What a peer shows to get this body; the same until `forget`. */
  token(message: number): Buffer {
    const known = this.tokens.get(message);
    if (known) return known;
    if (this.random.length < TOKEN_BYTES) this.random = randomBytes(TOKENS_AT_ONCE * TOKEN_BYTES);
    const token = this.random.subarray(0, TOKEN_BYTES);
    this.random = this.random.subarray(TOKEN_BYTES);
    this.tokens.set(message, token);
    return token;
  }

  allows(message: number, token: Buffer): boolean {
    const right = this.tokens.get(message);
    return right?.length === token.length && timingSafeEqual(token, right);
  }

  /** Whether there is room for bodies that are perhaps not needed soon. */
  get hasRoom(): boolean {
    return this.freshBytes < SPARE_BYTES;
  }

  /** Remember a small body that is at hand anyway. */
  keep(message: number, bytes: Uint8Array): void {
    if (this.cached(message)) return;
    this.fresh.set(message, bytes);
    this.freshBytes += bytes.length;
    if (this.freshBytes <= CACHE_BYTES / 2) return;
    this.aged = this.fresh;
    this.fresh = new Map();
    this.freshBytes = 0;
  }

  /** No work of this message is out any more. */
  forget(message: number): void {
    this.tokens.delete(message);
    if (this.aged.delete(message)) return;
    this.freshBytes -= this.fresh.get(message)?.length ?? 0;
    this.fresh.delete(message);
  }

  cached(message: number): Uint8Array | undefined {
    return this.fresh.get(message) ?? this.aged.get(message);
  }

  /** The body when it is in the database; undefined when it is spilled (or gone). */
  async small(message: number): Promise<Uint8Array | undefined> {
    const known = this.cached(message);
    if (known) return known;
    const bytes = await this.queue.read({ kind: "body", message });
    if (!bytes) return undefined;
    this.keep(message, bytes);
    return bytes;
  }

  /** A body known to be small, wherever it is; undefined: there is none. */
  async whole(message: number): Promise<Uint8Array | undefined> {
    const small = await this.small(message);
    if (small) return small;
    try {
      const bytes = await readFile(join(this.mess, String(message)));
      this.keep(message, bytes);
      return bytes;
    } catch (error) {
      if (isErrno(error, "ENOENT")) return undefined;
      throw error;
    }
  }

  /** All bytes in pieces, from memory, database or spill. */
  async *pieces(message: number): AsyncGenerator<Uint8Array> {
    const small = await this.small(message);
    if (small) {
      yield small;
      return;
    }
    const file = await open(join(this.mess, String(message)), "r");
    try {
      for (;;) {
        const buffer = Buffer.allocUnsafe(BODY_CHUNK);
        const { bytesRead } = await file.read(buffer, 0, BODY_CHUNK, null);
        if (bytesRead === 0) return;
        yield buffer.subarray(0, bytesRead);
      }
    } finally {
      await file.close();
    }
  }

  /** Answer a `fetch`, at the pace of the reader. */
  async serve(message: number, sink: ChunkSink): Promise<void> {
    for await (const piece of this.pieces(message)) {
      for (let at = 0; at < piece.length; at += BODY_CHUNK) {
        await sink.drained();
        if (sink.closed) return;
        const bytes = Buffer.from(
          piece.buffer,
          piece.byteOffset + at,
          Math.min(BODY_CHUNK, piece.length - at),
        );
        sink.send({ type: "chunk", message, last: false, bytes });
      }
    }
    sink.send({ type: "chunk", message, last: true, bytes: Buffer.alloc(0) });
  }

  /** Send a small body in front of its first slot. */
  push(message: number, bytes: Uint8Array, sink: ChunkSink): void {
    const view = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    for (let at = 0; at < view.length; at += BODY_CHUNK) {
      const part = view.subarray(at, at + BODY_CHUNK);
      sink.send({ type: "chunk", message, last: at + BODY_CHUNK >= view.length, bytes: part });
    }
    if (view.length === 0) sink.send({ type: "chunk", message, last: true, bytes: view });
  }
}
