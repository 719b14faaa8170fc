/**
 * A message in the form it has on the wire, computed once and shared by every copy that is sent. A
 * small one is in memory, both as DATA and as BDAT wants it; a larger one is in an unlinked temporary
 * file, already encoded, and never in memory. Immutable once built; closed by the last user.
 */
import { closeSync, mkdtempSync, openSync, read, rmdirSync, unlinkSync, write } from "node:fs";
import { join } from "node:path";
import { promisify } from "node:util";
import { encodeMessage, FINAL_DOT, WireEncoder } from "./wire-encoder.ts";

const writeAt = promisify(write);
const readAt = promisify(read);

export interface WireBody {
  /** Bytes of the encoded message; what SIZE= announces. */
  readonly sizeBytes: number;
  readonly eightBit: boolean;
  /** With the final dot. Undefined for one that is in a file. */
  readonly data: Buffer | undefined;
  /** Without dot-stuffing and final dot, for BDAT. Undefined for one that is in a file. */
  readonly plain: Buffer | undefined;
  /** Pieces in order, final dot included. */
  chunks(): AsyncIterable<Buffer>;
  /** One more user. */
  retain(): void;
  /** One user less; the last one frees the file. */
  release(): void;
}

/** Encode a message that is in memory. */
export function memoryBody(message: Uint8Array): WireBody {
  const { bytes, eightBit } = encodeMessage(message, "data");
  let plain: Buffer | undefined;
  return {
    sizeBytes: bytes.length,
    eightBit,
    data: bytes,
    get plain() {
      plain ??= encodeMessage(message, "bdat").bytes;
      return plain;
    },
    async *chunks() {
      yield bytes;
    },
    retain() {},
    release() {},
  };
}

/** Collects a message of any size into a file; `finish` gives the body. */
export class BodySpool {
  private readonly fd: number;
  private readonly encoder = new WireEncoder(true);
  private sizeBytes = 0;
  private open = true;

  /** `directory` is where temporary files go. The file has no name once this returns. */
  constructor(directory: string) {
    const made = mkdtempSync(join(directory, "ezqmail-"));
    const path = join(made, "body");
    try {
      this.fd = openSync(path, "wx+", 0o600);
      unlinkSync(path);
    } finally {
      rmdirSync(made);
    }
  }

  async push(chunk: Uint8Array): Promise<void> {
    await this.append(this.encoder.push(chunk));
  }

  private async append(bytes: Buffer): Promise<void> {
    for (let at = 0; at < bytes.length; ) {
      const { bytesWritten } = await writeAt(
        this.fd,
        bytes,
        at,
        bytes.length - at,
        this.sizeBytes + at,
      );
      at += bytesWritten;
    }
    this.sizeBytes += bytes.length;
  }

  async finish(): Promise<WireBody> {
    await this.append(this.encoder.end());
    await this.append(FINAL_DOT);
    return fileBody(this.fd, this.sizeBytes, this.encoder.eightBit);
  }

  abandon(): void {
    if (this.open) closeSync(this.fd);
    this.open = false;
  }
}

function fileBody(fd: number, sizeBytes: number, eightBit: boolean): WireBody {
  let users = 1;
  return {
    sizeBytes,
    eightBit,
    data: undefined,
    plain: undefined,
    async *chunks() {
      // A reader whose job is over must not read from a descriptor that is somebody else's by now.
      this.retain();
      try {
        for (let at = 0; at < sizeBytes; ) {
          const piece = Buffer.allocUnsafe(Math.min(131072, sizeBytes - at));
          const { bytesRead } = await readAt(fd, piece, 0, piece.length, at);
          if (bytesRead === 0) throw new Error("spooled message is short");
          at += bytesRead;
          yield piece.subarray(0, bytesRead);
        }
      } finally {
        this.release();
      }
    },
    retain() {
      users++;
    },
    release() {
      users--;
      if (users === 0) closeSync(fd);
    },
  };
}

/** A body from a stream: in memory up to `limitBytes`, in a file beyond. */
export async function collectBody(
  source: AsyncIterable<Uint8Array>,
  directory: string,
  limitBytes: number,
): Promise<WireBody> {
  const held: Uint8Array[] = [];
  let size = 0;
  let spool: BodySpool | undefined;
  try {
    for await (const chunk of source) {
      size += chunk.length;
      if (!spool && size > limitBytes) {
        spool = new BodySpool(directory);
        for (const part of held) await spool.push(part);
      }
      if (spool) await spool.push(chunk);
      else held.push(chunk);
    }
    return spool ? await spool.finish() : memoryBody(Buffer.concat(held));
  } catch (error) {
    spool?.abandon();
    throw error;
  }
}
