/**
 * Cuts a stream of bytes into lines without holding more than one of them: a line longer than the
 * limit comes in pieces, and only its first piece says `start`. Chunk boundaries never matter.
 */
export interface LinePiece {
  /** With its LF, unless the line goes on or the input ended without one. */
  readonly bytes: Buffer;
  /** Whether a line begins here. */
  readonly start: boolean;
}

const PIECE_LIMIT = 8192;

export class LineCutter {
  private carry: Buffer | undefined;
  private inside = false;

  /** Lines completed by `chunk`. */
  *push(chunk: Buffer): Generator<LinePiece> {
    const data = this.carry ? Buffer.concat([this.carry, chunk]) : chunk;
    this.carry = undefined;
    let at = 0;
    while (at < data.length) {
      const end = data.indexOf(10, at);
      if (end < 0 && data.length - at < PIECE_LIMIT) {
        this.carry = Buffer.from(data.subarray(at));
        return;
      }
      const stop = end < 0 ? data.length : end + 1;
      yield { bytes: data.subarray(at, stop), start: !this.inside };
      this.inside = end < 0;
      at = stop;
    }
  }

  /** What is left when the input ends without LF. */
  *end(): Generator<LinePiece> {
    if (this.carry) yield { bytes: this.carry, start: !this.inside };
    this.carry = undefined;
  }
}
