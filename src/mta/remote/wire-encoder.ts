/**
 * Stored message lines to SMTP lines: LF becomes CRLF, a leading dot is doubled. CR LF in the stored
 * message is one line end; a lone CR is a line end too, and what follows it starts a line like any
 * other, so that no stored byte sequence can end the data early or leak a bare CR or LF (qmail
 * reference 6.3). A partial last line is completed. Cutting the input into chunks changes nothing.
 */

import { isAscii } from "node:buffer";
import { copyByFours } from "../../lib/line-bytes.ts";

const LF = 10;
const CR = 13;
const DOT = 46;

export class WireEncoder {
  private readonly stuffing: boolean;
  private lineStart = true;
  private afterCr = false;
  /** Whether a byte above 127 was seen. */
  eightBit = false;

  /** `stuffing` false gives the lines for BDAT, where dots mean nothing. */
  constructor(stuffing: boolean) {
    this.stuffing = stuffing;
  }

  push(input: Uint8Array): Buffer {
    // Each byte becomes two at most; one more for the CR that the chunk before left open.
    const out = Buffer.allocUnsafe(input.length * 2 + 2);
    let length = 0;
    let { lineStart, afterCr } = this;
    for (let at = 0; at < input.length; ) {
      const byte = input[at++] as number;
      if (byte === LF || byte === CR) {
        if (!(byte === LF && afterCr)) {
          out[length++] = CR;
          out[length++] = LF;
          lineStart = true;
        }
        afterCr = byte === CR;
        continue;
      }
      afterCr = false;
      if (lineStart) {
        if (byte === DOT && this.stuffing) out[length++] = DOT;
        lineStart = false;
      }
      out[length++] = byte;
      const copied = copyByFours(input, at, out, length);
      length += copied;
      at += copied;
    }
    this.lineStart = lineStart;
    this.afterCr = afterCr;
    this.eightBit ||= !isAscii(input);
    return out.subarray(0, length);
  }

  /** What completes a partial last line. */
  end(): Buffer {
    return this.lineStart ? Buffer.alloc(0) : Buffer.from("\r\n");
  }
}

/** The line that ends DATA. */
export const FINAL_DOT = Buffer.from(".\r\n");

export interface EncodedMessage {
  readonly bytes: Buffer;
  readonly eightBit: boolean;
}

/** A whole message as sent after DATA, with its final dot, or as sent with BDAT. */
export function encodeMessage(message: Uint8Array, how: "data" | "bdat"): EncodedMessage {
  const encoder = new WireEncoder(how === "data");
  const body = encoder.push(message);
  const parts = [body, encoder.end()];
  if (how === "data") parts.push(FINAL_DOT);
  return { bytes: Buffer.concat(parts), eightBit: encoder.eightBit };
}
