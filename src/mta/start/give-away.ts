/**
 * Gives a directory, and what in it is root's or its former owner's, to the uid that works there: a
 * database that root made would lock its owner out. The directory may belong to somebody hostile, so each thing is opened without
 * following links and changed through its descriptor, and a file with a second name is left alone.
 */
import {
  closeSync,
  constants,
  fchmodSync,
  fchownSync,
  fstatSync,
  lstatSync,
  openSync,
  readdirSync,
} from "node:fs";
import { isErrno } from "../../lib/errors.ts";
import type { Owner } from "../../lib/one-uid.ts";

/** Deeper directories are entered only when they change hands: archives hold very many files. */
const fullDepth = 2;

/** `except`: names right below `path` that keep their owners. */
export function giveAway(path: string, owner: Owner, except: readonly string[] = []): void {
  const former = lstatSync(path).uid;
  new Gift(owner, new Set([0, former])).give(path, 0, except);
}

class Gift {
  private readonly owner: Owner;
  private readonly from: ReadonlySet<number>;

  constructor(owner: Owner, from: ReadonlySet<number>) {
    this.owner = owner;
    this.from = from;
  }

  give(path: string, depth: number, except: readonly string[]): void {
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
      const changes = this.from.has(found.uid) && found.uid !== this.owner.uid;
      if (changes && (found.isDirectory() || (found.isFile() && found.nlink === 1))) {
        fchownSync(fd, this.owner.uid, this.owner.gid);
        // Changing hands clears setgid and sticky, which a directory needs to keep.
        fchmodSync(fd, found.mode & 0o7777);
      }
      if (found.isDirectory() && (changes || depth <= fullDepth)) this.giveBelow(fd, depth, except);
    } finally {
      closeSync(fd);
    }
  }

  private giveBelow(fd: number, depth: number, except: readonly string[]): void {
    const here = `/proc/self/fd/${fd}`;
    for (const name of readdirSync(here)) {
      if (except.includes(name)) continue;
      const kind = lstatSync(`${here}/${name}`, { throwIfNoEntry: false });
      if (kind?.isFile() || kind?.isDirectory()) this.give(`${here}/${name}`, depth + 1, []);
    }
  }
}
