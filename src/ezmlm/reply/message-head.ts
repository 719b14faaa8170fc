/**
 * The beginning of a message: its header and as much body as is wanted, never more than the limits,
 * read once. Strangers write these; the rest of an endless one stays unread.
 */
import { quoteAddress } from "../../lib/address.ts";
import { type HeaderField, parseHeader } from "../../lib/header.ts";
import type { MessageInput } from "../../lib/message-input.ts";

/** Longest header looked at, in bytes. */
export const headLimitBytes = 256 * 1024;
/** Most body bytes ever copied or read for a command. */
export const bodyLimitBytes = 64 * 1024;

export interface MessageHead {
  readonly fields: readonly HeaderField[];
  /** The header as it came, with its last line feed, without the empty line. */
  readonly headerBytes: Buffer;
  /** First bytes of the body. */
  readonly body: Buffer;
  /** Whether `body` is all there is. */
  readonly isWhole: boolean;
}

/** Read a bounded beginning. */
export async function readHead(
  input: MessageInput,
  limitBytes = headLimitBytes + bodyLimitBytes,
): Promise<MessageHead> {
  let bytes = input.buffer;
  let isWhole = true;
  if (!bytes) {
    const parts: Buffer[] = [];
    let size = 0;
    for await (const chunk of input.chunks()) {
      parts.push(chunk);
      size += chunk.length;
      if (size > limitBytes) {
        isWhole = false;
        break;
      }
    }
    bytes = Buffer.concat(parts);
  }
  if (bytes.length > limitBytes) {
    bytes = bytes.subarray(0, limitBytes);
    isWhole = false;
  }
  const parsed = parseHeader(bytes);
  const fields = parsed.fields.filter((field) => field.name !== "From_");
  const headerBytes = Buffer.from(
    fields.map((field) => `${field.raw.replaceAll("\0", "_")}\n`).join(""),
    "latin1",
  );
  return { fields, headerBytes, body: bytes.subarray(parsed.bodyStart), isWhole };
}

/** Header and first body lines of a message, as one block that ends in a line feed. */
export async function copyHead(copy: {
  readonly input: MessageInput;
  readonly bodyLines: number;
  readonly returnPath?: string;
}): Promise<Buffer> {
  const head = await readHead(copy.input);
  const path =
    copy.returnPath === undefined
      ? ""
      : `Return-Path: <${quoteAddress(copy.returnPath.replace(/[\r\n\0]/g, "_"))}>\n`;
  return Buffer.concat([
    Buffer.from(path),
    head.headerBytes,
    Buffer.from("\n"),
    firstLines(head.body, copy.bodyLines),
  ]);
}

/** The first `count` lines of `body`; a last one without line feed gets it. */
export function firstLines(body: Buffer, count: number): Buffer {
  let end = 0;
  for (let line = 0; line < count && end < body.length; line++) {
    const at = body.indexOf(10, end);
    if (at < 0) return Buffer.concat([body, Buffer.from("\n")]);
    end = at + 1;
  }
  return body.subarray(0, end);
}
