/** The bytes of a drop file on their way into a message, piece by piece. Throws when the file ends early. */
import type { FileHandle } from "node:fs/promises";
import type { DropTrailer } from "./drop-file.ts";
import type { IncomingMessage } from "./incoming-message.ts";

const PIECE = 65536;

export async function readExactly(file: FileHandle, at: number, bytes: number): Promise<Buffer> {
  const buffer = Buffer.alloc(bytes);
  for (let have = 0; have < bytes; ) {
    const { bytesRead } = await file.read(buffer, have, bytes - have, at + have);
    if (bytesRead === 0) throw new Error("drop file became shorter");
    have += bytesRead;
  }
  return buffer;
}

export async function copyBody(
  file: FileHandle,
  trailer: DropTrailer,
  message: IncomingMessage,
): Promise<void> {
  for (let at = 0; at < trailer.messageBytes && !message.refusal; at += PIECE) {
    const bytes = await readExactly(file, at, Math.min(PIECE, trailer.messageBytes - at));
    await message.addBody(bytes);
  }
}

/** The first address is the sender; recipients are handed on in whole addresses. */
export async function copyEnvelope(
  file: FileHandle,
  trailer: DropTrailer,
  message: IncomingMessage,
): Promise<void> {
  let rest: Buffer = Buffer.alloc(0);
  let haveSender = false;
  for (let at = 0; at < trailer.envelopeBytes && !message.refusal; at += PIECE) {
    const size = Math.min(PIECE, trailer.envelopeBytes - at);
    let bytes = Buffer.concat([rest, await readExactly(file, trailer.messageBytes + at, size)]);
    if (!haveSender) {
      const end = bytes.indexOf(0);
      if (end < 0) break; // longer than any address
      const sender = bytes.toString("utf8", 0, end);
      message.setSender(Buffer.from(sender).equals(bytes.subarray(0, end)) ? sender : "\0");
      bytes = bytes.subarray(end + 1);
      haveSender = true;
    }
    const whole = bytes.lastIndexOf(0) + 1;
    await message.addRecipients(bytes.subarray(0, whole));
    rest = bytes.subarray(whole);
  }
  // A tail without NUL makes intake refuse the envelope.
  if (rest.length > 0) await message.addRecipients(rest);
}
