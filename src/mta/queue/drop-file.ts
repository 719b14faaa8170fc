/**
 * Layout of a file in `queue/drop`, the way commands hand in mail:
 *
 *   message bytes | envelope `F<sender>NUL` `T<recipient>NUL` … | submission key (UTF-8) | trailer
 *
 * The trailer stands last because the sizes are known last: 32 bytes, little-endian: u64 message
 * bytes, u32 envelope bytes, u32 key bytes, u32 flags (1 = bulk), u32 pid of the writer, 8 bytes
 * `EZQDROP1`. A file is written as `tmp.*` and renamed when it is complete and on disk. Whoever
 * reads one trusts nothing in it but the owner of the file.
 */

export const DROP_TRAILER_BYTES = 32;
/** Files of this prefix are still being written; swept when old. */
export const DROP_UNFINISHED = "tmp.";
const magic = Buffer.from("EZQDROP1", "latin1");
const BULK = 1;

export interface DropSizes {
  readonly messageBytes: number;
  readonly envelopeBytes: number;
  readonly keyBytes: number;
  readonly bulk: boolean;
  /** What the log calls `qp`; a claim of the writer. */
  readonly pid: number;
}

export function encodeDropTrailer(sizes: DropSizes): Buffer {
  const trailer = Buffer.alloc(DROP_TRAILER_BYTES);
  trailer.writeBigUInt64LE(BigInt(sizes.messageBytes), 0);
  trailer.writeUInt32LE(sizes.envelopeBytes, 8);
  trailer.writeUInt32LE(sizes.keyBytes, 12);
  trailer.writeUInt32LE(sizes.bulk ? BULK : 0, 16);
  trailer.writeUInt32LE(sizes.pid >>> 0, 20);
  magic.copy(trailer, 24);
  return trailer;
}

/** The sizes a file of `fileBytes` bytes claims; undefined when they don't add up to its size. */
export function decodeDropTrailer(trailer: Buffer, fileBytes: number): DropSizes | undefined {
  if (trailer.length !== DROP_TRAILER_BYTES || !trailer.subarray(24).equals(magic)) {
    return undefined;
  }
  const messageBytes = Number(trailer.readBigUInt64LE(0));
  const envelopeBytes = trailer.readUInt32LE(8);
  const keyBytes = trailer.readUInt32LE(12);
  if (messageBytes + envelopeBytes + keyBytes + DROP_TRAILER_BYTES !== fileBytes) return undefined;
  const bulk = (trailer.readUInt32LE(16) & BULK) !== 0;
  return { messageBytes, envelopeBytes, keyBytes, bulk, pid: trailer.readUInt32LE(20) };
}
