/**
 * Header fields that differ from copy to copy of one message: written as a template by the program
 * that hands the mail in, filled by the MTA for each recipient as its copy leaves. A copy is the filled
 * prefix and then the body all copies share.
 *
 * A template is ASCII text, whole fields ended by LF. What is filled in stands between two SOH bytes,
 * which no header field may hold: `r` the recipient as `user=host`, `c` and a secret in hex the letters
 * that only who knows the secret can make for that recipient. Both come out as characters that mean
 * nothing in a header field or a URL, so no address can break out of its field.
 */
import { createHmac, createSecretKey, type KeyObject } from "node:crypto";
import { asciiLower } from "./address.ts";

/** Longest template, bytes. */
export const PREFIX_LIMIT = 4096;
/** RFC 5322 2.1.1, without the line end. */
const LONGEST_LINE = 998;

/** Stands for the recipient as `user=host`, percent-encoded for a URL (RFC 6068 2). */
export const recipientMark = "\x01r\x01";

/** Stands for the 20 letters `linkCookie` makes of the secret (at most 32 bytes) and the recipient. */
export function cookieMark(secret: Buffer): string {
  return `\x01c${secret.toString("hex")}\x01`;
}

/** `user=host` of an address; one without `@` stays as it is. */
export function recipientText(address: string): string {
  const at = address.lastIndexOf("@");
  return at < 0 ? address : `${address.slice(0, at)}=${address.slice(at + 1)}`;
}

/** 20 letters `a`..`p`, 80 bits, the same however the ASCII letters of the recipient are written. */
export function linkCookie(secret: Buffer | KeyObject, recipient: string): string {
  const digest = createHmac("sha256", secret).update(asciiLower(recipient)).digest("binary");
  let letters = "";
  for (let at = 0; at < 10; at++) {
    const byte = digest.charCodeAt(at);
    letters += String.fromCharCode(97 + (byte >> 4), 97 + (byte & 15));
  }
  return letters;
}

const harmless = /^[A-Za-z0-9.=_*$!~-]*$/;

function percentEncoded(text: string): string {
  if (harmless.test(text)) return text;
  let out = "";
  for (const byte of Buffer.from(text)) {
    const char = String.fromCharCode(byte);
    out += harmless.test(char) ? char : `%${byte.toString(16).toUpperCase().padStart(2, "0")}`;
  }
  return out;
}

// biome-ignore lint/suspicious/noControlCharactersInRegex: SOH is the mark
const marks = /\x01(?:r|c(?:[0-9a-f]{2}){1,32})\x01/g;
/** Whole fields, folded at will. A field starts with a letter or digit, never a mark: no line needs dot-stuffing. */
const fields = /^(?:[A-Za-z0-9][!-9;-~]*:[ \t][ -~\t]*\n(?:[ \t]+[!-~][ -~\t]*\n)*)+$/;

/** Whether `text` is a template, or empty. */
export function isPrefixTemplate(text: string): boolean {
  if (text === "") return true;
  return text.length <= PREFIX_LIMIT && fields.test(text.replace(marks, "!"));
}

export class HeaderPrefix {
  /** Text and marks in turns. */
  private readonly parts: readonly string[];
  /** By mark. */
  private readonly secrets = new Map<string, KeyObject>();

  /** `lineEnd` as the copy is to have it. The template must be one. */
  constructor(template: string, lineEnd: "\n" | "\r\n") {
    if (!isPrefixTemplate(template)) throw new RangeError("not a header prefix");
    this.parts = template.replaceAll("\n", lineEnd).split("\x01");
    for (const [at, part] of this.parts.entries()) {
      if (at % 2 === 0 || part === "r") continue;
      this.secrets.set(part, createSecretKey(Buffer.from(part.slice(1), "hex")));
    }
  }

  /** The fields of one copy, ASCII; "" when the address would make a line longer than may be. */
  fill(recipient: string): string {
    const target = recipientText(recipient);
    const encoded = percentEncoded(target);
    let mark = "";
    let cookie = "";
    let text = this.parts[0] ?? "";
    for (let at = 1; at + 1 < this.parts.length; at += 2) {
      const next = this.parts[at] as string;
      const secret = this.secrets.get(next);
      // A link often stands twice, by https and by mail.
      if (secret && next !== mark) {
        cookie = linkCookie(secret, target);
        mark = next;
      }
      text += `${secret ? cookie : encoded}${this.parts[at + 1]}`;
    }
    const fits =
      text.length <= LONGEST_LINE || text.split("\n").every((line) => line.length <= LONGEST_LINE);
    return fits ? text : "";
  }
}
