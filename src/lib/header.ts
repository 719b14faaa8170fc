/**
 * A message header as lines we may add or drop, byte exact. A field keeps its folding and its line
 * end; `raw` is a binary string (one char = one byte) so that nothing is lost. Text that goes in is
 * UTF-8 and may hold no CR, LF or NUL: header injection ends here.
 */

import { asciiLower } from "./address.ts";
import { trimBlanks } from "./blanks.ts";
import { PermanentError } from "./errors.ts";

export interface HeaderField {
  /** As written, without the colon: `Subject`. */
  readonly name: string;
  /** The whole field with continuation lines, without the last LF; binary string. */
  readonly raw: string;
}

/** `name` of a field in lower case; field names compare without case. RFC 5322 2.2. */
export function fieldKey(field: HeaderField): string {
  return asciiLower(field.name);
}

/** Value after the colon, unfolded to one line and trimmed, decoded as UTF-8 (bytes that are not: U+FFFD). */
export function fieldText(field: HeaderField): string {
  return Buffer.from(fieldBytes(field), "latin1").toString("utf8");
}

/** Value after the colon, unfolded and trimmed, still bytes. */
export function fieldBytes(field: HeaderField): string {
  return trimBlanks(field.raw.slice(field.raw.indexOf(":") + 1).replace(/\r?\n[ \t]*/g, " "));
}

/** Build a field from text. Refuses CR, LF and NUL in `value`: it does not fold. */
export function makeField(name: string, value: string): HeaderField {
  if (/[\r\n\0]/.test(value) || !/^[\x21-\x39\x3b-\x7e]+$/.test(name)) {
    throw new PermanentError(
      `Refusing a line break inside the header field ${JSON.stringify(name)}. (#5.6.0)`,
    );
  }
  return { name, raw: Buffer.from(`${name}: ${value}`).toString("latin1") };
}

/** Bytes of the fields, each ended by LF. */
export function headerBytes(fields: readonly HeaderField[]): Buffer {
  return Buffer.from(fields.map((field) => `${field.raw}\n`).join(""), "latin1");
}

export interface ParsedHeader {
  readonly fields: readonly HeaderField[];
  /** Offset of the first body byte: after the empty line, or the first line that is no field. */
  readonly bodyStart: number;
  /** Whether an empty line ended the header. */
  readonly separated: boolean;
}

/**
 * Split the header off `bytes` (LF or CRLF line ends). A line that is neither field nor continuation
 * ends the header and belongs to the body. A `From ` line at the very top is a field named `From_`.
 */
export function parseHeader(bytes: Buffer): ParsedHeader {
  const fields: { name: string; raw: string }[] = [];
  let at = 0;
  while (at < bytes.length) {
    let end = bytes.indexOf(10, at);
    if (end < 0) end = bytes.length;
    const stop = end > at && bytes[end - 1] === 13 ? end - 1 : end;
    if (stop === at) return { fields, bodyStart: Math.min(end + 1, bytes.length), separated: true };
    const first = bytes[at];
    const last = fields.at(-1);
    if ((first === 32 || first === 9) && last) {
      last.raw += `\n${bytes.toString("latin1", at, stop)}`;
    } else {
      const line = bytes.toString("latin1", at, stop);
      const match = /^([\x21-\x39\x3b-\x7e]+)[ \t]*:/.exec(line);
      if (match) fields.push({ name: match[1] as string, raw: line });
      else if (line.startsWith("From ") && fields.length === 0)
        fields.push({ name: "From_", raw: line });
      else return { fields, bodyStart: at, separated: false };
    }
    at = end + 1;
  }
  return { fields, bodyStart: bytes.length, separated: false };
}

/** First field of that name (any case). */
export function findField(fields: readonly HeaderField[], name: string): HeaderField | undefined {
  const key = asciiLower(name);
  return fields.find((field) => asciiLower(field.name) === key);
}
