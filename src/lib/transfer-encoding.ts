/**
 * Content transfer encodings for text of ours, and their decoding for what people send back.
 * RFC 2045 6.7, 6.8. Lines end in LF here; base64 carries text with CRLF as the RFC asks.
 */
import { trimBlanksEnd } from "./blanks.ts";

/** Quoted-printable with lines of at most 76 characters; blanks at line ends are protected. */
export function encodeQuotedPrintable(bytes: Uint8Array): string {
  const out: string[] = [];
  for (const line of Buffer.from(bytes).toString("latin1").split("\n")) {
    let row = "";
    for (let at = 0; at < line.length; at++) {
      const code = line.charCodeAt(at);
      const isBlank = code === 32 || code === 9;
      const plain = (code > 32 && code < 127 && code !== 61) || (isBlank && at < line.length - 1);
      const piece = plain
        ? line.charAt(at)
        : `=${code.toString(16).toUpperCase().padStart(2, "0")}`;
      if (row.length + piece.length > 75) {
        out.push(`${row}=`);
        row = "";
      }
      row += piece;
    }
    out.push(row);
  }
  return out.join("\n");
}

/** Base64 of text, line ends as CRLF inside, in lines of 72 characters, each ended by LF. */
export function encodeBase64Text(bytes: Uint8Array): string {
  const wire = Buffer.from(bytes).toString("latin1").replace(/\r?\n/g, "\r\n");
  const letters = Buffer.from(wire, "latin1").toString("base64");
  return (letters.match(/.{1,72}/g) ?? []).map((line) => `${line}\n`).join("");
}

/** Blanks at the end of a line were added on the way. RFC 2045 6.7 (3). */
function withoutBlanksEnd(line: string): string {
  return line.endsWith("\r") ? `${trimBlanksEnd(line)}\r` : trimBlanksEnd(line);
}

/** Bytes of a body in the named encoding; other names mean "as it is". */
export function decodeTransfer(body: Buffer, encoding: string): Buffer {
  switch (encoding.trim().toLowerCase()) {
    case "base64":
      return Buffer.from(body.toString("latin1"), "base64");
    case "quoted-printable":
      return Buffer.from(
        body
          .toString("latin1")
          .split("\n")
          .map(withoutBlanksEnd)
          .join("\n")
          .replace(/=\r?\n/g, "")
          .replace(/=([0-9a-f]{2})/gi, (_all, hex: string) =>
            String.fromCharCode(Number.parseInt(hex, 16)),
          ),
        "latin1",
      );
    default:
      return body;
  }
}
