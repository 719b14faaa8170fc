/** Names nobody can guess. Not of node:crypto: loading that takes 5 ms, of which a command has 25. */
import { closeSync, openSync, readSync } from "node:fs";

/** That many random bytes as hexadecimal digits. */
export function randomHex(count: number): string {
  const fd = openSync("/dev/urandom", "r");
  try {
    const bytes = Buffer.alloc(count);
    if (readSync(fd, bytes) < count) throw new Error("/dev/urandom gave too little");
    return bytes.toString("hex");
  } finally {
    closeSync(fd);
  }
}
