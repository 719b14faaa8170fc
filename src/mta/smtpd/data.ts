/**
 * The bytes between 354 and the end of data: CRLF becomes LF, one leading dot goes, and only
 * CR LF . CR LF ends it. A CR without LF or an LF without CR anywhere makes the message refused
 * (never repaired: that is how mail is smuggled). Everything else, NUL and 8-bit included, is kept.
 * How the bytes are cut into chunks never matters. RFC 5321 4.1.1.4, 4.5.2.
 */

import { copyByFours } from "../../lib/line-bytes.ts";

type State = "start" | "middle" | "cr" | "dot" | "dot-cr";
export type DataStatus = "more" | "end" | "bare CR" | "bare LF";

const LF = 10;
const CR = 13;
const DOT = 46;

const NOTHING = Buffer.alloc(0);
/** Header lines with these beginnings count as hops, in either case. */
const RECEIVED = Buffer.from("received");
const DELIVERED = Buffer.from("delivered");

export class DataReader {
  status: DataStatus = "more";
  /** Stored bytes so far: LF line ends, dots removed. */
  sizeBytes = 0;
  hops = 0;
  /** What the last `push` yielded; a view into its chunk. */
  output: Buffer = NOTHING;
  private state: State = "start";
  private inHeader = true;
  /** How much of `word` the current header line matches so far; -1 when it is no hop. */
  private matched = 0;
  private word = RECEIVED;

  /**
   * Take `chunk` from offset `at`; returns the offset of the first byte not taken (behind the end of
   * data, or the chunk's length). The output is written over the chunk, which is ours to spoil: it
   * is never longer than the input, since CR and a leading dot only ever disappear.
   */
  push(chunk: Buffer, at: number): number {
    const length = chunk.length;
    let to = at;
    let state = this.state;
    let next = at;
    this.status = "more";
    while (next < length) {
      const byte = chunk[next++] as number;
      if (byte === CR) {
        if (state === "cr" || state === "dot-cr") {
          this.status = "bare CR";
          break;
        }
        if (state === "start") this.inHeader = false; // an empty line
        state = state === "dot" ? "dot-cr" : "cr";
      } else if (byte === LF) {
        if (state === "dot-cr") {
          this.status = "end";
          break;
        }
        if (state !== "cr") {
          this.status = "bare LF";
          break;
        }
        chunk[to++] = LF;
        state = "start";
        this.matched = this.inHeader ? 0 : -1;
      } else if (state === "cr" || state === "dot-cr") {
        this.status = "bare CR";
        break;
      } else if (byte === DOT && state === "start") {
        state = "dot";
      } else {
        state = "middle";
        chunk[to++] = byte;
        if (this.matched >= 0) {
          this.matchHop(byte);
          continue;
        }
        const copied = copyByFours(chunk, next, chunk, to);
        to += copied;
        next += copied;
      }
    }
    this.state = state;
    this.output = chunk.subarray(at, to);
    this.sizeBytes += to - at;
    return next;
  }

  private matchHop(byte: number): void {
    const lower = byte >= 65 && byte <= 90 ? byte + 32 : byte;
    if (this.matched === 0) this.word = lower === DELIVERED[0] ? DELIVERED : RECEIVED;
    if (lower !== this.word[this.matched]) {
      this.matched = -1;
    } else if (++this.matched === this.word.length) {
      this.hops++;
      this.matched = -1;
    }
  }
}
