/**
 * A file or directory held by a descriptor. What root makes or changes in a directory of somebody else
 * goes through one: whatever its owner puts in the place of a name afterwards, root works on what it
 * looked at. A file is never reached through a link; for directories see `enter`.
 */
import {
  chmodSync,
  chownSync,
  closeSync,
  constants,
  fchmodSync,
  fchownSync,
  fstatSync,
  lstatSync,
  mkdirSync,
  openSync,
  readlinkSync,
  renameSync,
  type Stats,
  unlinkSync,
  writeFileSync,
} from "node:fs";
import { join, normalize } from "node:path";
import { TemporaryError } from "../../lib/errors.ts";
import type { Owner } from "../../lib/one-uid.ts";

/** Linux: a descriptor of what is there, socket or FIFO too, without opening it. Node has no name for it. */
const O_PATH = 0o10000000;

/** What to set; the rest stays. */
export interface Rights {
  readonly owner?: Owner | undefined;
  readonly mode?: number | undefined;
}

export class Held {
  /** For messages. */
  readonly path: string;
  readonly status: Stats;
  private readonly fd: number;

  private constructor(path: string, place: string, flags: number) {
    this.path = path;
    this.fd = openSync(place, O_PATH | flags);
    this.status = fstatSync(this.fd);
  }

  /** A directory that whoever started us named: links on the way are his. */
  static directory(path: string): Held {
    return new Held(path, path, constants.O_DIRECTORY);
  }

  /** A name of what is held; good in this process and as the working directory of a child. */
  get self(): string {
    return `/proc/self/fd/${this.fd}`;
  }

  private below(name: string): string {
    return `${this.self}/${name}`;
  }

  /** Does the work, then lets go. */
  during<T>(work: (held: Held) => T): T {
    try {
      return work(this);
    } finally {
      closeSync(this.fd);
    }
  }

  has(name: string): boolean {
    return lstatSync(this.below(name), { throwIfNoEntry: false }) !== undefined;
  }

  /** What stands under a name; the link when it is one. */
  hold(name: string): Held {
    return new Held(join(this.path, name), this.below(name), constants.O_NOFOLLOW);
  }

  /**
   * A directory below. Root follows a link in his own directory, one that he made (`madeByRoot`), and
   * one that leads to what belongs to the owner of the directory it lies in; any other could send him
   * anywhere.
   */
  enter(name: string, asRoot: boolean): Held {
    return this.hold(name).during((entry) => {
      const isLink = entry.status.isSymbolicLink();
      const follow = isLink ? 0 : constants.O_NOFOLLOW;
      const found = new Held(entry.path, this.below(name), constants.O_DIRECTORY | follow);
      const { uid } = this.status;
      if (!isLink || !asRoot || uid === 0 || found.status.uid === uid) return found;
      if (this.madeByRoot(name, entry, found)) return found;
      return found.during(() => {
        throw new TemporaryError(refusal(entry, found, uid));
      });
    });
  }

  /**
   * Whether root himself made this link, here, to the very place where we came out. The owner of this
   * directory cannot make one of uid 0, but may have moved it or given it a second name (which changes
   * ctime, never mtime), may swap it while we look, and may own what a relative or an indirect one
   * passes: its text must be the whole way.
   */
  private madeByRoot(name: string, link: Held, found: Held): boolean {
    const { uid, nlink, ino, dev, mtimeMs, ctimeMs } = link.status;
    if (uid !== 0 || nlink !== 1 || mtimeMs !== ctimeMs) return false;
    const text = readlinkSync(this.below(name));
    return this.hold(name).during(({ status }) => {
      const stayed = status.ino === ino && status.dev === dev && status.ctimeMs === ctimeMs;
      return stayed && normalize(`${text}/`) === `${found.place}/`;
    });
  }

  /** Where it really is. */
  get place(): string {
    return readlinkSync(this.self);
  }

  makeDirectory(name: string, rights: Rights): void {
    mkdirSync(this.below(name), { mode: 0o700 });
    this.hold(name).during((made) => made.set(rights));
  }

  /** Complete under its name or not there at all. */
  makeFile(name: string, text: string, { owner, mode }: Rights): void {
    const unfinished = this.below(`${name}.new`);
    const flags = constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL | constants.O_NOFOLLOW;
    // Left of a crash, or a trap.
    if (this.has(`${name}.new`)) unlinkSync(unfinished);
    const fd = openSync(unfinished, flags, 0o600);
    try {
      writeFileSync(fd, text);
      if (owner) fchownSync(fd, owner.uid, owner.gid);
      if (mode !== undefined) fchmodSync(fd, mode);
    } finally {
      closeSync(fd);
    }
    renameSync(unfinished, this.below(name));
  }

  /**
   * Owner before mode: chown clears the setgid bit. What has a second name may be somebody else's, so
   * it is not changed; nothing is wrong with one that is as it should be, as in a snapshot of hard links.
   */
  set({ owner, mode }: Rights): void {
    const { status, path, self } = this;
    const isHis = !owner || (owner.uid === status.uid && owner.gid === status.gid);
    if (isHis && (mode === undefined || mode === (status.mode & 0o7777))) return;
    if (status.isSymbolicLink() || (!status.isDirectory() && status.nlink !== 1)) {
      throw new TemporaryError(`${path} is a link; remove it`);
    }
    if (owner) chownSync(self, owner.uid, owner.gid);
    if (mode !== undefined) chmodSync(self, mode);
  }
}

/** A directory of root's may be fresh and only lack its owner; one of somebody else never is. */
function refusal({ path, status }: Held, found: Held, owner: number): string {
  const { place } = found;
  const line = `${path} is a link of uid ${status.uid}`;
  if (found.status.uid !== 0 || !/^[\w./@+-]+$/.test(place)) {
    return `${line} to what is not of uid ${owner}; remove it`;
  }
  return `${line} to ${place}, which is root's; if that is to be used: chown ${owner} ${place}, else remove the link`;
}
