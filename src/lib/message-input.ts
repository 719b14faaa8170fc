/**
 * A message a program reads: bytes that can be read from the start as often as needed (a file, a
 * buffer), or just once (a pipe, a socket). Mail is bytes; nothing here decodes them.
 */
import { createReadStream, read, readSync } from "node:fs";
import { promisify } from "node:util";
import { TemporaryError } from "./errors.ts";

export interface MessageInput {
  /** The bytes from the first one. On a pipe the second call throws TemporaryError. */
  chunks(): AsyncIterable<Buffer>;
  /** The whole message when it is in memory already, so that small ones cost no stream. */
  readonly buffer?: Buffer;
  /** A file that holds the message from offset 0, to hand to a child process as its stdin. */
  readonly path?: string;
  readonly fd?: number;
}

/** A message in memory. */
export function bufferInput(bytes: Buffer | string): MessageInput {
  const buffer = typeof bytes === "string" ? Buffer.from(bytes) : bytes;
  return {
    buffer,
    async *chunks() {
      if (buffer.length > 0) yield buffer;
    },
  };
}

/** A message in a file; opened anew for every reading. */
export function fileInput(path: string): MessageInput {
  return { path, chunks: () => createReadStream(path, { highWaterMark: 65536 }) };
}

const readAt = promisify(read);
const BLOCK = 65536;

/**
 * Bytes of an open file from `offset` on. By position, so that readers do not disturb each other, and
 * without a stream: that would close the descriptor under the others when a reader stops early.
 */
export async function* readDescriptor(fd: number, offset: number): AsyncIterable<Buffer> {
  let wait = false;
  for (let at = offset; ; ) {
    const block = Buffer.allocUnsafe(BLOCK);
    // Most messages are one block: that one is not worth the threads that wait for the others.
    const size: number = wait
      ? (await readAt(fd, block, 0, BLOCK, at)).bytesRead
      : readSync(fd, block, 0, BLOCK, at);
    if (size === 0) return;
    wait = size === BLOCK;
    at += size;
    yield block.subarray(0, size);
  }
}

/** An open seekable descriptor; every reading starts at offset 0 and leaves the descriptor open. */
export function descriptorInput(fd: number): MessageInput {
  return {
    fd,
    chunks: () => readDescriptor(fd, 0),
  };
}

/** Like `descriptorInput`, for a file whose message starts at `offset`, as standard input may. */
export function fileFrom(fd: number, offset: number): MessageInput {
  if (offset === 0) return descriptorInput(fd);
  return { chunks: () => readDescriptor(fd, offset) };
}

/** What can be read only once: a pipe, a terminal, a socket. */
export function streamInput(stream: AsyncIterable<Buffer>): MessageInput {
  let taken = false;
  return {
    chunks() {
      if (taken) throw new TemporaryError("Input is a pipe and was read already. (#4.3.0)");
      taken = true;
      return stream;
    },
  };
}

/** Everything, in one buffer; PermanentError-free: `limitBytes` exceeded throws RangeError. */
export async function readAll(input: MessageInput, limitBytes = 1 << 30): Promise<Buffer> {
  if (input.buffer) return input.buffer;
  const parts: Buffer[] = [];
  let size = 0;
  for await (const chunk of input.chunks()) {
    size += chunk.length;
    if (size > limitBytes) throw new RangeError(`more than ${limitBytes} bytes`);
    parts.push(chunk);
  }
  return Buffer.concat(parts);
}

/** Whether it can be read from the start more than once. */
export function isRereadable(input: MessageInput): boolean {
  return input.buffer !== undefined || input.path !== undefined || input.fd !== undefined;
}

/** The same message, readable more than once: what comes through a pipe is held in memory. */
export async function rereadable(input: MessageInput): Promise<MessageInput> {
  return isRereadable(input) ? input : bufferInput(await readAll(input));
}
