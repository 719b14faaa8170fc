/**
 * Delivery into an mbox file (mboxrd): under an exclusive flock append the From_ line, Return-Path,
 * Delivered-To and the message, lines `>*From ` quoted by one more `>`, then an empty line; fsync. When
 * that fails the file is cut back to its old length, so a reader never sees half a message.
 * mbox(5); qmail reference 4.4, 7.3.
 */
import { constants } from "node:fs";
import { type FileHandle, open } from "node:fs/promises";
import { errorText, TemporaryError } from "../../lib/errors.ts";
import { type HeldLock, lockDescriptor } from "../../lib/lock.ts";
import type { MessageInput } from "../../lib/message-input.ts";

export const MBOX_LOCK_SECONDS = 30;

export async function deliverMbox(
  path: string,
  lead: Buffer,
  message: MessageInput,
  limitSeconds = MBOX_LOCK_SECONDS,
): Promise<void> {
  const file = await openMbox(path);
  try {
    const lock = await lockMbox(file.fd, limitSeconds);
    try {
      await append(file, path, lead, message);
    } finally {
      lock.release();
    }
  } finally {
    await file.close();
  }
}

async function lockMbox(fd: number, limitSeconds: number): Promise<HeldLock> {
  const started = performance.now();
  try {
    return await lockDescriptor(fd, { limitMilliseconds: limitSeconds * 1000 });
  } catch (error) {
    if (performance.now() - started < limitSeconds * 1000 - 100) throw error;
    const text = `File has been locked for ${limitSeconds} seconds straight. (#4.3.0)`;
    throw new TemporaryError(text, { cause: error });
  }
}

async function openMbox(path: string): Promise<FileHandle> {
  const flags = constants.O_WRONLY | constants.O_APPEND | constants.O_CREAT | constants.O_NONBLOCK;
  try {
    return await open(path, flags, 0o600);
  } catch (error) {
    const text = `Unable to open ${path}: ${errorText(error)}. (#4.2.1)`;
    throw new TemporaryError(text, { cause: error });
  }
}

async function append(
  file: FileHandle,
  path: string,
  lead: Buffer,
  message: MessageInput,
): Promise<void> {
  const before = await file.stat();
  try {
    await writeAll(file, lead);
    const quote = new FromQuoting();
    if (message.buffer) await writeAll(file, quote.push(message.buffer));
    else for await (const chunk of message.chunks()) await writeAll(file, quote.push(chunk));
    await writeAll(file, quote.end());
    // A device such as /dev/null has nothing to sync.
    if (before.isFile()) await file.sync();
  } catch (error) {
    if (before.isFile()) await file.truncate(before.size).catch(() => {});
    const text = `Unable to write ${path}: ${errorText(error)}. (#4.3.0)`;
    throw new TemporaryError(text, { cause: error });
  }
}

async function writeAll(file: FileHandle, bytes: Buffer): Promise<void> {
  for (let at = 0; at < bytes.length; ) {
    at += (await file.write(bytes, at, bytes.length - at)).bytesWritten;
  }
}

const FROM = Buffer.from("From ");
const QUOTE = Buffer.from(">");
const QUOTE_BYTE = 0x3e;

/**
 * Quotes `>*From ` at the start of lines, whatever the chunk boundaries. The one more `>` goes behind
 * those that are there, which is the same, so that however many come they are looked at once.
 */
export class FromQuoting {
  /** The part of `From ` that a chunk ended in. */
  private pending = Buffer.alloc(0);
  private lineIsEmpty = true;
  /** The line holds nothing but `>` so far. */
  private atHead = true;

  /** What may be written already. */
  push(chunk: Buffer): Buffer {
    const data = this.pending.length > 0 ? Buffer.concat([this.pending, chunk]) : chunk;
    this.pending = Buffer.alloc(0);
    const out: Buffer[] = [];
    let done = 0;
    let at = 0;
    while (at < data.length) {
      if (this.atHead) {
        const text = afterQuotes(data, at);
        if (text > at) this.lineIsEmpty = false;
        if (text === data.length) break;
        const matched = matchFrom(data, text);
        if (matched < FROM.length && text + matched === data.length) {
          out.push(data.subarray(done, text));
          this.pending = Buffer.from(data.subarray(text));
          return Buffer.concat(out);
        }
        if (matched === FROM.length) {
          out.push(data.subarray(done, text), QUOTE);
          done = text;
        }
        at = text;
      }
      const end = data.indexOf(10, at);
      this.lineIsEmpty = this.atHead = end >= 0;
      at = end >= 0 ? end + 1 : data.length;
    }
    out.push(data.subarray(done));
    return out.length === 1 ? (out[0] as Buffer) : Buffer.concat(out);
  }

  /** The rest, a line end if the last line has none, and the empty line. */
  end(): Buffer {
    const open = this.pending.length > 0 || !this.lineIsEmpty;
    return Buffer.concat([this.pending, Buffer.from(open ? "\n\n" : "\n")]);
  }
}

function afterQuotes(data: Buffer, from: number): number {
  let at = from;
  while (data[at] === QUOTE_BYTE) at++;
  return at;
}

/** How many bytes of `From ` stand there. */
function matchFrom(data: Buffer, from: number): number {
  let count = 0;
  while (count < FROM.length && data[from + count] === FROM[count]) count++;
  return count;
}
