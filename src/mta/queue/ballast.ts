/**
 * `queue/ballast`: space kept for the worst hour. When a mark cannot be committed because the disk
 * is full, the file goes, and what was delivered can be written down. It comes back when there is room.
 */
import { rmSync, statSync, writeFileSync } from "node:fs";
import { isErrno } from "../../lib/errors.ts";

const BALLAST_BYTES = 8 << 20;

/** Make the file when it is missing. `freeBytes` must leave plenty beside it. */
export function keepBallast(path: string, freeBytes: number): void {
  if (statSync(path, { throwIfNoEntry: false })?.size === BALLAST_BYTES) return;
  if (freeBytes < 16 * BALLAST_BYTES) return;
  try {
    // Bytes, not a hole: a hole reserves nothing.
    writeFileSync(path, Buffer.alloc(BALLAST_BYTES, 1), { mode: 0o600 });
  } catch (error) {
    rmSync(path, { force: true });
    if (!isErrno(error, "ENOSPC", "EDQUOT")) throw error;
  }
}

export function dropBallast(path: string): void {
  rmSync(path, { force: true });
}
