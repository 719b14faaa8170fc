/** The readable text of a mail that carries a command or a comment: decoded, of a multipart the first text. */
import { fieldText, findField, type HeaderField, parseHeader } from "../../lib/header.ts";
import { decodeCharset } from "../../lib/mime-word.ts";
import { decodeTransfer } from "../../lib/transfer-encoding.ts";
import { topType } from "./post-body.ts";

const DEPTH_LIMIT = 8;

/** Undefined when there is no text in it. */
export function messageText(
  fields: readonly HeaderField[],
  body: Buffer,
  depth = 0,
): string | undefined {
  const type = topType(fields);
  const kind = type?.type || "text/plain";
  if (kind.startsWith("multipart/")) {
    const boundary = type?.parameters.get("boundary");
    if (!boundary || depth >= DEPTH_LIMIT) return undefined;
    for (const part of mimeParts(body, boundary)) {
      const header = parseHeader(part);
      const text = messageText(header.fields, part.subarray(header.bodyStart), depth + 1);
      if (text !== undefined) return text;
    }
    return undefined;
  }
  if (kind !== "text/plain") return undefined;
  const encoding = findField(fields, "Content-Transfer-Encoding");
  const bytes = decodeTransfer(body, encoding ? fieldText(encoding) : "");
  return decodeCharset(bytes, type?.parameters.get("charset") ?? "").replaceAll("\r\n", "\n");
}

/** Parts between delimiter lines, headers included. */
export function* mimeParts(body: Buffer, boundary: string): Generator<Buffer> {
  const mark = Buffer.from(`--${boundary}`, "latin1");
  let start = -1;
  for (let at = body.indexOf(mark); at >= 0; at = body.indexOf(mark, at + mark.length)) {
    if (at > 0 && body[at - 1] !== 10) continue;
    if (start >= 0) yield body.subarray(start, at);
    const end = body.indexOf(10, at);
    start = end < 0 ? body.length : end + 1;
  }
  if (start >= 0) yield body.subarray(start);
}
