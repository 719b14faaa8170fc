/**
 * A message on its way through a list program: its header in memory (bounded), its body as a stream
 * that is read once. Hostile input: a header longer than the limit is refused, one that never ends
 * is cut where its lines stop being fields. Must be closed on every path.
 */
import { PermanentError } from "../../lib/errors.ts";
import { type HeaderField, parseHeader } from "../../lib/header.ts";
import type { MessageInput } from "../../lib/message-input.ts";

/** Longest header a list program reads, in bytes. */
export const HEADER_LIMIT = 512 * 1024;

export interface IncomingMessage {
  /** Without the `From ` line of an mbox. */
  readonly fields: readonly HeaderField[];
  /** The bytes after the empty line. May be called once. */
  body(): AsyncGenerator<Buffer>;
  /** Let go of a body that was not read to its end. */
  close(): Promise<void>;
}

/** Read the header; the body stays where it is. */
export async function readIncoming(
  input: MessageInput,
  limitBytes = HEADER_LIMIT,
): Promise<IncomingMessage> {
  if (input.buffer) return split(input.buffer, limitBytes, undefined);
  const source = input.chunks()[Symbol.asyncIterator]();
  let head: Buffer = Buffer.alloc(0);
  for (;;) {
    const next = await source.next();
    if (next.done) return split(head, limitBytes, undefined);
    const from = Math.max(0, head.length - 2);
    head = head.length === 0 ? next.value : Buffer.concat([head, next.value]);
    if (hasEmptyLine(head, from) || head.length > limitBytes)
      return split(head, limitBytes, source);
  }
}

function hasEmptyLine(bytes: Buffer, from: number): boolean {
  if (bytes[0] === 10 || (bytes[0] === 13 && bytes[1] === 10)) return true;
  return bytes.indexOf("\n\n", from) >= 0 || bytes.indexOf("\n\r\n", from) >= 0;
}

async function split(
  bytes: Buffer,
  limitBytes: number,
  rest: AsyncIterator<Buffer> | undefined,
): Promise<IncomingMessage> {
  // parseHeader() must not walk through 25 MB of body text without an empty line.
  const window = bytes.length > limitBytes ? bytes.subarray(0, limitBytes + 1) : bytes;
  const parsed = parseHeader(window);
  // The window may end inside the name of a field, which is then no field: still too long.
  const isCut =
    window.length > limitBytes && !parsed.separated && window.indexOf(10, parsed.bodyStart) < 0;
  if (isCut || parsed.bodyStart > limitBytes) {
    await rest?.return?.();
    throw new PermanentError(`The header is longer than ${limitBytes} bytes. (#5.3.4)`);
  }
  const first = bytes.subarray(parsed.bodyStart);
  return {
    fields: parsed.fields.filter((field) => field.name !== "From_"),
    async *body() {
      if (first.length > 0) yield first;
      if (!rest) return;
      for (;;) {
        const next = await rest.next();
        if (next.done) return;
        yield next.value;
      }
    },
    async close() {
      await rest?.return?.();
    },
  };
}

/** The body up to a limit; what follows is not read. */
export async function firstBytes(message: IncomingMessage, limitBytes: number): Promise<Buffer> {
  const parts: Buffer[] = [];
  let size = 0;
  for await (const chunk of message.body()) {
    parts.push(chunk);
    size += chunk.length;
    if (size >= limitBytes) break;
  }
  return parts.length === 1 && size <= limitBytes
    ? (parts[0] as Buffer)
    : Buffer.concat(parts).subarray(0, limitBytes);
}
