/** Whether a file is as it was when it was read: what caches of small files ask. */
import type { Stats } from "node:fs";

/** Coarser than the tick of any file system's clock, and than what clocks of file servers differ. */
const SETTLED_MS = 2500;

/**
 * Size and times alone do not tell: editors put times back, and a new file may get the old inode. What was
 * not settled when it was read must not be kept at all.
 */
export function isSameFile(a: Stats, b: Stats): boolean {
  return (
    a.ino === b.ino &&
    a.ctimeMs === b.ctimeMs &&
    a.mtimeMs === b.mtimeMs &&
    a.size === b.size &&
    a.dev === b.dev
  );
}

/** Whether the last change is so old that the next one will show in the times. `nowMs`: of the system's clock. */
export function isSettled(status: Stats, nowMs = Date.now()): boolean {
  return nowMs - Math.max(status.mtimeMs, status.ctimeMs) > SETTLED_MS;
}
