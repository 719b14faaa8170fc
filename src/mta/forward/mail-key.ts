/**
 * The submission key of a mail that a program line hands on (design 6): the same when the line runs again,
 * also behind a filter that adds a field with a time or a number of its own; another for another mail of the
 * same line. So of the header only what a reader tells mails apart by counts, and all of the body.
 */
import { createHash } from "node:crypto";
import { fieldBytes, fieldKey, parseHeader } from "../../lib/header.ts";

/** More of a header is not looked for: what follows counts as body. */
const HEADER_LIMIT = 256 * 1024;

const telling = new Set(["message-id", "from", "to", "cc", "subject"]);

export class MailKey {
  private readonly hash = createHash("sha256");
  /** The beginning of the message, until the header is known; then undefined. */
  private held: Buffer[] | undefined = [];
  private heldBytes = 0;

  /** `envelope`: what else tells one mail of the line from another. */
  constructor(envelope: readonly string[]) {
    this.hash.update(JSON.stringify(envelope));
  }

  add(chunk: Buffer): void {
    if (!this.held) {
      this.hash.update(chunk);
      return;
    }
    this.held.push(chunk);
    this.heldBytes += chunk.length;
    if (this.heldBytes >= HEADER_LIMIT) this.takeHeader(this.held);
  }

  /** The key; to be called once, after the last chunk. */
  digest(): string {
    if (this.held) this.takeHeader(this.held);
    return `forward:${this.hash.digest("hex").slice(0, 32)}`;
  }

  private takeHeader(held: readonly Buffer[]): void {
    this.held = undefined;
    const bytes = Buffer.concat(held);
    // Cut at the limit, so that the key does not depend on the size of the chunks.
    const { fields, bodyStart } = parseHeader(bytes.subarray(0, HEADER_LIMIT));
    const told = fields.filter((field) => telling.has(fieldKey(field)));
    this.hash.update(JSON.stringify(told.map((field) => [fieldKey(field), fieldBytes(field)])));
    this.hash.update(bytes.subarray(bodyStart));
  }
}
