/**
 * How many messages a server takes on one connection, as seen from those it closed while it was given
 * the next one. Who knows this says QUIT behind the last of them and prepares none in vain.
 */

/** So many connections in a row have to end after the same number: a restart is no habit. */
const ENOUGH = 3;
/** Then it may show again that it takes more. */
const BELIEVED_MS = 60_000;

export class SessionLength {
  private messages = 0;
  private seen = 0;
  private until = 0;

  /** The server ended a connection after that many messages, and wanted no more. Clock in ms. */
  ended(messages: number, now: number): void {
    this.seen = messages === this.messages ? this.seen + 1 : 1;
    this.messages = messages;
    if (this.seen >= ENOUGH) this.until = now + BELIEVED_MS;
  }

  /** Messages a connection that begins now may get; Infinity when nothing is known. */
  most(now: number): number {
    if (this.until === 0) return Number.POSITIVE_INFINITY;
    if (now < this.until) return this.messages;
    this.until = 0;
    this.seen = 0;
    return Number.POSITIVE_INFINITY;
  }
}
