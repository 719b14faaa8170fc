/**
 * The keyed hash of the original programs (SURF in a streaming mode) and its 20 letters. Kept so that
 * cookies, subject hashes and bounce file names of existing lists stay what they are; 80 bits.
 * Reference ezmlm-formats.md 2.
 */

const rotations = [5, 7, 9, 13] as const;

/** SURF: 12 words under a seed of 32 words give 8 words. */
export function surf(input: Uint32Array, seed: Uint32Array): Uint32Array {
  const t = new Uint32Array(12);
  const out = new Uint32Array(8);
  for (let i = 0; i < 12; i++) t[i] = (input[i] ?? 0) ^ (seed[12 + i] ?? 0);
  for (let i = 0; i < 8; i++) out[i] = seed[24 + i] ?? 0;
  let x = t[11] ?? 0;
  let sum = 0;
  for (let pass = 0; pass < 2; pass++) {
    for (let round = 0; round < 16; round++) {
      sum = (sum + 0x9e3779b9) >>> 0;
      for (let i = 0; i < 12; i++) {
        const by = rotations[i & 3] as number;
        const turned = (x << by) | (x >>> (32 - by));
        x = ((t[i] ?? 0) + ((((x ^ (seed[i] ?? 0)) + sum) | 0) ^ turned)) >>> 0;
        t[i] = x;
      }
    }
    for (let i = 0; i < 8; i++) out[i] = (out[i] ?? 0) ^ (t[i + 4] ?? 0);
  }
  return out;
}

/** The streaming hash: 32 bytes of `data` under `seed`. */
function digest(data: Buffer, seed: Uint32Array): Buffer {
  // A `.` ends the data, NULs fill the last block.
  const padded = Buffer.alloc(Math.ceil((data.length + 1) / 32) * 32);
  data.copy(padded);
  padded[data.length] = 0x2e;
  const block = new Uint32Array(12);
  const sum = new Uint32Array(12);
  const add = (hash: Uint32Array): void => {
    for (let i = 0; i < 8; i++) sum[i] = (sum[i] ?? 0) + (hash[i] ?? 0);
  };
  for (let at = 0; at < padded.length; at += 32) {
    for (let i = 0; i < 8; i++) block[i] = padded.readUInt32LE(at + 4 * i);
    for (let i = 8; i < 12; i++) {
      block[i] = (block[i] ?? 0) + 1;
      if (block[i] !== 0) break;
    }
    add(surf(block, seed));
  }
  const out = Buffer.alloc(32);
  surf(sum, seed).forEach((word, i) => {
    out.writeUInt32LE(word, 4 * i);
  });
  return out;
}

/** First 20 bytes as letters `a`..`p`: 4 bits of each. */
export function letters(bytes: Uint8Array): string {
  let text = "";
  for (const byte of bytes.subarray(0, 20)) text += String.fromCharCode(97 + (byte & 15));
  return text;
}

/** Keyed hash over date, address and the first byte of the action; 20 letters. */
export function surfCookie(
  key: Uint8Array,
  date: string,
  address: string | Buffer,
  action: string,
): string {
  const keyBytes = Buffer.from(key);
  const seed = new Uint32Array(32);
  for (let pass = 0; pass < 4; pass++) {
    digest(keyBytes, seed).forEach((byte, i) => {
      seed[i] = ((seed[i] ?? 0) << 8) + byte;
    });
  }
  const nul = Buffer.from([0]);
  const text = [Buffer.from(date), nul, Buffer.from(address), nul];
  const first = action === "" ? nul : Buffer.from(action).subarray(0, 1);
  return letters(digest(Buffer.concat([...text, first]), seed));
}

/**
 * Hash of a subject, author or Message-ID: blanks skipped, ASCII letters without case. Bytes in a
 * string are UTF-8.
 */
export function textHash(text: string | Buffer): string {
  const folded: number[] = [];
  for (const byte of Buffer.from(text)) {
    if (byte === 32 || byte === 9) continue;
    folded.push(byte >= 65 && byte <= 90 ? byte + 32 : byte);
  }
  return letters(digest(Buffer.from(folded), new Uint32Array(32)));
}
