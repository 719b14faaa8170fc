/** Whether a file is as it was when it was read: what caches of small files ask. */
import type { Stats } from "node:fs";

/**
 * Size and times alone do not tell: editors put times back, and a new file may get the old inode. What was
 * read within the tick of the file system's clock after its last change must not be kept at all.
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
