/**
 * The hash that spreads addresses over 53 slots: files of the std store, ranges of split lists.
 * `h = h * 33 XOR byte` from 5381, in 64-bit arithmetic (the original ezmlm and 32-bit builds: 32).
 * Reference ezmlm-formats.md 1.
 */
import { asciiLower } from "../../lib/address.ts";

export const slots = 53;

/** Slot of these bytes, 0..52. `width` is that of the C `unsigned long` of whoever wrote the files. */
export function hashSlot(bytes: Uint8Array, width: 32 | 64 = 64): number {
  return bothSlots(bytes)[width === 64 ? 0 : 1];
}

/** The slots for 64 and for 32 bits; one run over the bytes gives both. */
function bothSlots(bytes: Uint8Array): [wide: number, narrow: number] {
  let low = 5381;
  let high = 0;
  for (let at = 0; at < bytes.length; at++) {
    const byte = bytes[at] as number;
    const wide = low * 33;
    high = (high * 33 + Math.floor(wide / 0x1_0000_0000)) >>> 0;
    // A byte above 127 is a negative char: its sign fills 32 bits, not 64.
    low = ((wide >>> 0) ^ (byte < 128 ? byte : byte | 0xffffff00)) >>> 0;
  }
  // 2^32 mod 53 = 44
  const wide = ((high % slots) * (0x1_0000_0000 % slots) + (low % slots)) % slots;
  return [wide, low % slots];
}

/** Slot of an address in split lists and SQL ranges: no `T` before it, without case. */
export function addressSlot(address: string): number {
  return hashSlot(Buffer.from(asciiLower(address)));
}

/** Slots in which the std store may keep an address, the one it is written to first. */
export function recordSlots(address: string): number[] {
  const lower = asciiLower(address);
  const [wide, narrow] = bothSlots(Buffer.from(`T${lower}`));
  if (lower === address) return wide === narrow ? [wide] : [wide, narrow];
  const [mixedWide, mixedNarrow] = bothSlots(Buffer.from(`T${address}`));
  return [...new Set([wide, mixedWide, narrow, mixedNarrow])];
}
