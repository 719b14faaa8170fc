/** Bytes inside a line, where nothing happens until its end. */

const CR = 13;

/**
 * Copies bytes of `from`, starting at `at`, to `to` at `into`, and answers how many: all up to the next CR or
 * LF, but for the last few, which the caller has to look at anyway. By fours it costs half of one by one. Both
 * may be the same memory when the bytes move down.
 */
export function copyByFours(from: Uint8Array, at: number, to: Uint8Array, into: number): number {
  let count = 0;
  while (at + count + 4 <= from.length) {
    const a = from[at + count] as number;
    const b = from[at + count + 1] as number;
    const c = from[at + count + 2] as number;
    const d = from[at + count + 3] as number;
    // Other control characters stop it, too: that is one comparison for each byte.
    if (a <= CR || b <= CR || c <= CR || d <= CR) break;
    to[into + count] = a;
    to[into + count + 1] = b;
    to[into + count + 2] = c;
    to[into + count + 3] = d;
    count += 4;
  }
  return count;
}
