/**
 * The message of a delivery where it can be read as often as needed: small ones in memory, larger
 * ones in a file without a name, which vanishes with the process. A program gets a descriptor of its
 * own, at the first byte, on a real seekable file.
 */
import { closeSync, constants, openSync, unlinkSync, write, writeSync } from "node:fs";
import { join } from "node:path";
import { promisify } from "node:util";
import { type MessageInput, readDescriptor } from "../../lib/message-input.ts";
import { randomHex } from "../../lib/random.ts";

const writeChunk = promisify(write);

export class StoredMessage implements MessageInput {
  readonly buffer?: Buffer;
  private file: number | undefined;
  private readonly directory: string;

  private constructor(directory: string, buffer: Buffer | undefined, file: number | undefined) {
    this.directory = directory;
    if (buffer) this.buffer = buffer;
    this.file = file;
  }

  static of(bytes: Buffer, directory: string): StoredMessage {
    return new StoredMessage(directory, bytes, undefined);
  }

  /** Read `chunks` to the end: to memory up to `limitBytes`, else to a file in `directory`. */
  static async from(
    chunks: AsyncIterable<Buffer>,
    directory: string,
    limitBytes: number,
  ): Promise<StoredMessage> {
    const held: Buffer[] = [];
    let size = 0;
    let file: number | undefined;
    try {
      for await (const chunk of chunks) {
        size += chunk.length;
        if (file === undefined && size <= limitBytes) {
          held.push(Buffer.from(chunk));
          continue;
        }
        if (file === undefined) {
          file = unnamedFile(directory);
          for (const part of held) writeAllSync(file, part);
          held.length = 0;
        }
        for (let at = 0; at < chunk.length; ) {
          at += (await writeChunk(file, chunk, at, chunk.length - at)).bytesWritten;
        }
      }
    } catch (error) {
      if (file !== undefined) closeSync(file);
      throw error;
    }
    const buffer = file === undefined ? Buffer.concat(held) : undefined;
    return new StoredMessage(directory, buffer, file);
  }

  /** The same message with `bytes` in front; ours is left as it is. Close both. */
  async prefixed(bytes: Buffer): Promise<StoredMessage> {
    const { buffer, directory } = this;
    if (buffer) return StoredMessage.of(Buffer.concat([bytes, buffer]), directory);
    const rest = this.chunks();
    return StoredMessage.from(
      (async function* () {
        yield bytes;
        yield* rest;
      })(),
      directory,
      0,
    );
  }

  chunks(): AsyncIterable<Buffer> {
    const { buffer, file } = this;
    if (buffer || file === undefined) {
      return (async function* () {
        if (buffer && buffer.length > 0) yield buffer;
      })();
    }
    return readDescriptor(file, 0);
  }

  /** The file, made when the message is only in memory so far. */
  get fd(): number {
    if (this.file === undefined) {
      this.file = unnamedFile(this.directory);
      writeAllSync(this.file, this.buffer ?? Buffer.alloc(0));
    }
    return this.file;
  }

  /** A new descriptor at offset 0, read-only; the caller closes it. */
  openAnew(): number {
    return openSync(`/proc/self/fd/${this.fd}`, "r");
  }

  get memoryBytes(): number {
    return this.buffer?.length ?? 0;
  }

  close(): void {
    if (this.file !== undefined) closeSync(this.file);
    this.file = undefined;
  }
}

/** A file only its descriptor knows. */
function unnamedFile(directory: string): number {
  const path = join(directory, `ezqmail-${randomHex(12)}`);
  const flags = constants.O_RDWR | constants.O_CREAT | constants.O_EXCL | constants.O_NOFOLLOW;
  const fd = openSync(path, flags, 0o600);
  unlinkSync(path);
  return fd;
}

function writeAllSync(fd: number, bytes: Buffer): void {
  for (let at = 0; at < bytes.length; ) at += writeSync(fd, bytes, at);
}
