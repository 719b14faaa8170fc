/** A disk that is nearly full takes a part of what it is given and says so in a number, not an error. */
import { writeSync } from "node:fs";

/** Write all of it where the descriptor stands (text as UTF-8), or throw the system error. */
export function writeAllSync(fd: number, data: Uint8Array | string): void {
  const bytes = typeof data === "string" ? Buffer.from(data) : data;
  for (let at = 0; at < bytes.length; ) at += writeSync(fd, bytes, at);
}
