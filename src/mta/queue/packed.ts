/**
 * Recipients of a job in one blob, and the bit per recipient that says it is settled. Addresses hold
 * no NUL (intake refuses it), so NUL ends each.
 */

/** Recipients of one job: parallel lists, in job order. */
export interface Recipients {
  readonly originals: readonly string[];
  readonly routed: readonly string[];
}

/** `original NUL routed NUL` each; routed is empty where it is the same. */
export function packRecipients(originals: readonly string[], routed: readonly string[]): Buffer {
  let text = "";
  for (let i = 0; i < originals.length; i++) {
    const original = originals[i] as string;
    text += `${original}\0${routed[i] === original ? "" : routed[i]}\0`;
  }
  return Buffer.from(text);
}

export function unpackRecipients(packed: Uint8Array): Recipients {
  const bytes = Buffer.from(packed.buffer, packed.byteOffset, packed.byteLength);
  const parts = bytes.toString("utf8").split("\0");
  const originals: string[] = [];
  const routed: string[] = [];
  for (let i = 0; i + 1 < parts.length; i += 2) {
    const original = parts[i] as string;
    originals.push(original);
    routed.push((parts[i + 1] as string) || original);
  }
  return { originals, routed };
}

/** NUL-ended addresses starting at `from`, at most `limit`; an unfinished last one is left. */
export function unpackAddresses(
  bytes: Buffer,
  from: number,
  limit: number,
): { addresses: string[]; end: number } {
  const addresses: string[] = [];
  let at = from;
  while (addresses.length < limit) {
    const end = bytes.indexOf(0, at);
    if (end < 0) break;
    addresses.push(bytes.toString("utf8", at, end));
    at = end + 1;
  }
  return { addresses, end: at };
}

export function hasBit(bits: Uint8Array | null, index: number): boolean {
  return bits !== null && ((bits[index >> 3] as number) & (1 << (index & 7))) !== 0;
}

export function setBit(bits: Uint8Array, index: number): void {
  bits[index >> 3] = (bits[index >> 3] as number) | (1 << (index & 7));
}

export function bitmap(count: number, from: Uint8Array | null = null): Uint8Array {
  const bits = new Uint8Array((count + 7) >> 3);
  if (from) bits.set(from.subarray(0, bits.length));
  return bits;
}
