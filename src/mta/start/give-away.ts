/**
 * Gives files of root below a directory to the uid that works there: a database that root made would
 * lock its owner out. The directory may belong to somebody hostile, so each thing is opened without
 * following links and changed through its descriptor, and a file with a second name is left alone.
 */
import {
  closeSync,
  constants,
  fchownSync,
  fstatSync,
  lstatSync,
  openSync,
  readdirSync,
} from "node:fs";
import { isErrno } from "../../lib/errors.ts";
import type { Owner } from "../../lib/one-uid.ts";

/** Deeper directories are entered only when they are root's: archives hold very many files. */
const fullDepth = 2;

export function giveAway(path: string, owner: Owner, depth = 0): void {
  let fd: number;
  try {
    fd = openSync(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
  } catch (error) {
    // Gone meanwhile, a symbolic link, or a socket: nothing that can lock anybody out.
    if (isErrno(error, "ENOENT", "ELOOP", "ENXIO", "EACCES")) return;
    throw error;
  }
  try {
    const found = fstatSync(fd);
    const ours = found.uid === 0;
    if (ours && (found.isDirectory() || (found.isFile() && found.nlink === 1))) {
      fchownSync(fd, owner.uid, owner.gid);
    }
    if (!found.isDirectory() || (!ours && depth > fullDepth)) return;
    const here = `/proc/self/fd/${fd}`;
    for (const name of readdirSync(here)) {
      const kind = lstatSync(`${here}/${name}`, { throwIfNoEntry: false });
      if (kind?.isFile() || kind?.isDirectory()) giveAway(`${here}/${name}`, owner, depth + 1);
    }
  } finally {
    closeSync(fd);
  }
}
