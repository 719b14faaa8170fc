/**
 * The trailer of a list, put where the reader of a post sees it and where it breaks nothing: after
 * text in the encoding of the message (base64 stays one stream), as a part of its own in a mixed
 * multipart, nowhere in anything else (a picture, a signed post, an alternative).
 */
import { encodeQuotedPrintable } from "../../lib/transfer-encoding.ts";
import type { ContentType } from "./content-type.ts";

/** Sits at the end of a body: gives bytes on, and at the end what belongs behind them. */
export interface BodyTail {
  push(chunk: Buffer): Buffer;
  end(): Buffer;
}

/** How list text is labelled and encoded; `encoding` "" leaves 8-bit text as it is. */
export interface TextCharset {
  readonly name: string;
  readonly encoding: "" | "Q" | "B";
}

const withPart = new Set(["multipart/mixed", "multipart/digest", "multipart/parallel"]);

/** Whether the trailer of such a message is a part before the closing delimiter. */
export function takesTrailerPart(type: ContentType | undefined): boolean {
  return type !== undefined && withPart.has(type.type);
}

/** The part, from its delimiter on. */
export function trailerPart(boundary: string, trailer: string, charset: TextCharset): Buffer {
  const ascii = isAscii(trailer);
  const label = ascii ? "us-ascii" : charset.name;
  const encoding = ascii ? "" : charset.encoding;
  const bytes = charsetBytes(trailer, label);
  const [name, body] =
    encoding === "B"
      ? ["base64", Buffer.from(base64Lines(bytes))]
      : encoding === "Q"
        ? ["quoted-printable", Buffer.from(encodeQuotedPrintable(bytes))]
        : [ascii ? "7bit" : "8bit", bytes];
  const head =
    `\n--${boundary}\nContent-Type: text/plain; charset=${label}\n` +
    `Content-Transfer-Encoding: ${name}\nContent-Disposition: inline\n\n`;
  return Buffer.concat([Buffer.from(head, "latin1"), body]);
}

/** What appends `trailer` to a message that is one text; undefined when it is not text. */
export function trailerTail(
  type: ContentType | undefined,
  transferEncoding: string,
  trailer: string,
): BodyTail | undefined {
  const kind = type?.type || "text/plain";
  if (kind !== "text/plain" && kind !== "text/html") return undefined;
  const text = kind === "text/html" ? `<pre>${escapeHtml(trailer)}</pre>\n` : trailer;
  const charset = (type?.parameters.get("charset") ?? "us-ascii").toLowerCase();
  const encoding = transferEncoding.trim().toLowerCase();
  if (encoding === "base64") {
    const bytes = charsetBytes(`\n${text}\n`.replace(/\n/g, "\r\n"), charset);
    return new Base64Tail(bytes);
  }
  const printable = encoding === "quoted-printable";
  // A body that says 7bit stays 7bit. RFC 2045 6.2.
  const eight = printable || encoding === "8bit" || encoding === "binary";
  const bytes = charsetBytes(`\n${text}\n`, eight ? charset : "us-ascii");
  return new PlainTail(printable ? Buffer.from(encodeQuotedPrintable(bytes)) : bytes);
}

class PlainTail implements BodyTail {
  private readonly tail: Buffer;
  private last = 10;

  constructor(tail: Buffer) {
    this.tail = tail;
  }

  push(chunk: Buffer): Buffer {
    this.last = chunk.at(-1) ?? this.last;
    return chunk;
  }

  end(): Buffer {
    return this.last === 10 ? this.tail : Buffer.concat([Buffer.from("\n"), this.tail]);
  }
}

/** Holds the last group of four back, and encodes its bytes anew together with the trailer. */
class Base64Tail implements BodyTail {
  private readonly tail: Buffer;
  private held: Buffer = Buffer.alloc(0);

  constructor(tail: Buffer) {
    this.tail = tail;
  }

  push(chunk: Buffer): Buffer {
    const data = this.held.length > 0 ? Buffer.concat([this.held, chunk]) : chunk;
    let characters = 0;
    let group = data.length;
    for (let at = 0; at < data.length; at++) {
      if (!isBase64(data[at] as number)) continue;
      if (characters++ % 4 === 0) group = at;
    }
    this.held = Buffer.from(data.subarray(group));
    return data.subarray(0, group);
  }

  end(): Buffer {
    const rest = Buffer.from(this.held.toString("latin1"), "base64");
    return Buffer.from(`\n${base64Lines(Buffer.concat([rest, this.tail]))}`);
  }
}

function isBase64(byte: number): boolean {
  return (
    (byte >= 65 && byte <= 90) ||
    (byte >= 97 && byte <= 122) ||
    (byte >= 48 && byte <= 57) ||
    byte === 43 ||
    byte === 47 ||
    byte === 61
  );
}

function isAscii(text: string): boolean {
  return Buffer.byteLength(text) === text.length;
}

function base64Lines(bytes: Buffer): string {
  return bytes.toString("base64").replace(/.{1,72}/g, "$&\n");
}

function escapeHtml(text: string): string {
  return text.replace(/&/g, "&amp;").replace(/</g, "&lt;").replace(/>/g, "&gt;");
}

/** Text in the charset of the message; what that cannot say is written without accents, else `?`. */
function charsetBytes(text: string, charset: string): Buffer {
  if (/^utf-?8$/i.test(charset)) return Buffer.from(text, "utf8");
  const latin = /^(iso-8859-1|iso-8859-15|windows-1252)$/i.test(charset);
  const plain = [...text].map((char) => {
    const code = char.codePointAt(0) as number;
    if (code < 128 || (latin && code >= 0xa0 && code <= 0xff && !isMovedInLatin9(code)))
      return char;
    const bare = char.normalize("NFKD").replace(/[^\x20-\x7e]/g, "");
    return bare === "" ? "?" : bare;
  });
  return Buffer.from(plain.join(""), "latin1");
}

/** Places where iso-8859-15 differs from iso-8859-1. */
function isMovedInLatin9(code: number): boolean {
  return [0xa4, 0xa6, 0xa8, 0xb4, 0xb8, 0xbc, 0xbd, 0xbe].includes(code);
}
