/**
 * Framing between our own processes: u32 little-endian length of what follows, one type byte, then
 * the payload. Payloads are written and read by hand, field after field; nothing is deserialised
 * into objects by a library. A reader gives up on the connection at the first frame that is too long
 * or does not decode: no peer decides how much memory we use.
 */

export class FrameError extends Error {
  override readonly name = "FrameError";
}

const EMPTY = Buffer.alloc(0);
/** Most that is allocated because the last frames were as many. */
const MOST_AHEAD = 65536;

/** Collects fields of one or more frames into one buffer, so that a turn costs one write. */
export class FrameWriter {
  private buffer: Buffer;
  private length = 0;
  private start = 0;
  /** Size of what was taken last: the next one will be alike. */
  private usual = 0;

  /** `buffer`: where the first frames go, until they do not fit. */
  constructor(buffer: Buffer = EMPTY) {
    this.buffer = buffer;
  }

  private reserve(bytes: number): void {
    const need = this.length + bytes;
    if (need <= this.buffer.length) return;
    const next = Buffer.allocUnsafe(
      Math.max(need, 4096, this.buffer.length * 2, Math.min(this.usual, MOST_AHEAD)),
    );
    this.buffer.copy(next, 0, 0, this.length);
    this.buffer = next;
  }

  begin(type: number): this {
    this.reserve(5);
    this.start = this.length;
    this.length += 4;
    this.buffer[this.length++] = type;
    return this;
  }

  u8(value: number): this {
    this.reserve(1);
    this.buffer[this.length++] = value;
    return this;
  }

  u32(value: number): this {
    this.reserve(4);
    this.length = this.buffer.writeUInt32LE(value, this.length);
    return this;
  }

  /** Whole numbers up to 2^53: queue ids, sizes, times. */
  u53(value: number): this {
    this.reserve(8);
    this.buffer.writeUInt32LE(value % 0x1_0000_0000, this.length);
    this.buffer.writeUInt32LE(Math.floor(value / 0x1_0000_0000), this.length + 4);
    this.length += 8;
    return this;
  }

  /** UTF-8 text with its length in front. */
  text(value: string): this {
    if (value === "") return this.u32(0);
    // Three bytes per UTF-16 unit is the most UTF-8 needs.
    this.reserve(4 + value.length * 3);
    const written = this.buffer.write(value, this.length + 4, "utf8");
    this.buffer.writeUInt32LE(written, this.length);
    this.length += 4 + written;
    return this;
  }

  bytes(value: Uint8Array): this {
    this.reserve(4 + value.length);
    this.length = this.buffer.writeUInt32LE(value.length, this.length);
    this.buffer.set(value, this.length);
    this.length += value.length;
    return this;
  }

  /** Bytes, or nothing at all, which is not the same as no bytes. */
  optionalBytes(value: Uint8Array | null): this {
    return value ? this.u8(1).bytes(value) : this.u8(0);
  }

  /** Bytes in pieces, read as one. */
  pieces(list: readonly Uint8Array[]): this {
    let sizeBytes = 0;
    for (const piece of list) sizeBytes += piece.length;
    this.reserve(4 + sizeBytes);
    this.length = this.buffer.writeUInt32LE(sizeBytes, this.length);
    for (const piece of list) {
      this.buffer.set(piece, this.length);
      this.length += piece.length;
    }
    return this;
  }

  end(): this {
    this.buffer.writeUInt32LE(this.length - this.start - 4, this.start);
    return this;
  }

  get sizeBytes(): number {
    return this.length;
  }

  /** The finished frames; the writer is empty afterwards. */
  take(): Buffer {
    const done = this.buffer.subarray(0, this.length);
    this.usual = this.length;
    this.buffer = EMPTY;
    this.length = 0;
    return done;
  }
}

/** One frame being read. Every getter throws FrameError when the payload is too short. */
export class Frame {
  readonly type: number;
  private readonly payload: Buffer;
  private at = 0;

  constructor(type: number, payload: Buffer) {
    this.type = type;
    this.payload = payload;
  }

  private need(bytes: number): number {
    const from = this.at;
    if (from + bytes > this.payload.length) throw new FrameError("frame too short");
    this.at += bytes;
    return from;
  }

  u8(): number {
    return this.payload[this.need(1)] as number;
  }

  u32(): number {
    return this.payload.readUInt32LE(this.need(4));
  }

  u53(): number {
    const from = this.need(8);
    const high = this.payload.readUInt32LE(from + 4);
    if (high > 0x1f_ffff) throw new FrameError("number too large");
    return high * 0x1_0000_0000 + this.payload.readUInt32LE(from);
  }

  text(): string {
    const size = this.u32();
    const from = this.need(size);
    return this.payload.toString("utf8", from, from + size);
  }

  /** A view into the received buffer; copy it if it is to outlive the next read. */
  bytes(): Buffer {
    const size = this.u32();
    const from = this.need(size);
    return this.payload.subarray(from, from + size);
  }

  /** A view, as of `bytes`. */
  optionalBytes(): Buffer | null {
    return this.u8() === 0 ? null : this.bytes();
  }

  get left(): number {
    return this.payload.length - this.at;
  }
}

/** Cuts a byte stream into frames. Chunk boundaries never matter. */
export class FrameReader {
  private readonly limitBytes: number;
  /** Beginning of a frame that is not complete, in the first `held` bytes. It grows by doubling. */
  private pending = EMPTY;
  private held = 0;

  constructor(limitBytes: number) {
    this.limitBytes = limitBytes;
  }

  /** Hands over the frames completed by `chunk`. Throws FrameError when one announces more than the limit. */
  push(chunk: Buffer, take: (frame: Frame) => void): void {
    if (this.held === 0) {
      this.keep(chunk, this.cut(chunk, take));
      return;
    }
    this.keep(chunk, 0);
    const data = this.pending.subarray(0, this.held);
    if (data.length < 4 || data.length < 4 + data.readUInt32LE(0)) {
      if (data.length >= 4) this.check(data.readUInt32LE(0));
      return;
    }
    this.pending = EMPTY;
    this.held = 0;
    this.keep(data, this.cut(data, take));
  }

  /** Where the first frame that is not complete begins. */
  private cut(data: Buffer, take: (frame: Frame) => void): number {
    let at = 0;
    while (data.length - at >= 4) {
      const size = data.readUInt32LE(at);
      this.check(size);
      if (data.length - at - 4 < size) break;
      take(new Frame(data[at + 4] as number, data.subarray(at + 5, at + 4 + size)));
      at += 4 + size;
    }
    return at;
  }

  private check(size: number): void {
    if (size < 1 || size > this.limitBytes) throw new FrameError(`frame of ${size} bytes`);
  }

  /** The chunk is not ours: the next read may use its memory again. */
  private keep(chunk: Buffer, from: number): void {
    const need = this.held + chunk.length - from;
    if (need === this.held) return;
    if (need > this.pending.length) {
      const grown = Buffer.allocUnsafe(Math.max(need, this.pending.length * 2));
      this.pending.copy(grown, 0, 0, this.held);
      this.pending = grown;
    }
    chunk.copy(this.pending, this.held, from);
    this.held = need;
  }
}
