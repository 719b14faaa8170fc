/**
 * Reads .qmail files, and remembers what it read: a file that looks as it did is not opened again. What
 * an owner changes counts from the next delivery on: every delivery looks at the file, and nothing is
 * remembered of one whose last change is so recent that another might not show in its times.
 */
import {
  closeSync,
  constants,
  fstatSync,
  openSync,
  readFileSync,
  type Stats,
  statSync,
} from "node:fs";
import { errorText, isErrno, isTemporaryErrno, TemporaryError } from "../../lib/errors.ts";
import { isSameFile, isSettled } from "../../lib/same-file.ts";

export const WORLD_WRITABLE = 0o002;
const OWNER_EXECUTE = 0o100;

const FILES_KEPT = 1000;
/** Longer files are read each time. */
const KEPT_BYTES = 16_384;

export interface DotQmailText {
  readonly text: Buffer;
  /** The owner-execute bit: only forwards are allowed. */
  readonly forwardOnly: boolean;
}

interface Known extends DotQmailText {
  readonly status: Stats;
}

export class DotQmailFiles {
  private readonly known = new Map<string, Known>();
  private readonly now: () => Date;

  constructor(now: () => Date) {
    this.now = now;
  }

  /** Undefined when there is no such file, or it is no regular one. TemporaryError when that cannot be known. */
  read(home: string, name: string): DotQmailText | undefined {
    const path = `${home}/${name}`;
    let fd: number;
    try {
      // Most candidates are missing, and a failing open costs an Error object: ask before.
      const status = statSync(path, { throwIfNoEntry: false });
      if (!status?.isFile()) return undefined;
      const known = this.known.get(path);
      if (known && isSameFile(known.status, status)) return known;
      fd = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);
    } catch (error) {
      if (isUnknowable(error)) throw cannotOpen(name, error);
      return undefined;
    }
    try {
      return this.take(path, fd);
    } catch (error) {
      throw error instanceof TemporaryError ? error : cannotOpen(name, error);
    } finally {
      closeSync(fd);
    }
  }

  private take(path: string, fd: number): DotQmailText | undefined {
    const status = fstatSync(fd);
    if (!status.isFile()) return undefined;
    if (status.mode & WORLD_WRITABLE) {
      throw new TemporaryError("Uh-oh: .qmail file is writable. (#4.7.0)");
    }
    const text = readFileSync(fd);
    const file = { text, forwardOnly: (status.mode & OWNER_EXECUTE) !== 0, status };
    this.keep(path, file);
    return file;
  }

  private keep(path: string, file: Known): void {
    this.known.delete(path);
    if (!isSettled(file.status, this.now().getTime()) || file.text.length > KEPT_BYTES) return;
    this.known.set(path, file);
    if (this.known.size <= FILES_KEPT) return;
    const [oldest] = this.known.keys();
    if (oldest !== undefined) this.known.delete(oldest);
  }
}

/** Whether a failing look at a .qmail file says nothing about what is there. */
export function isUnknowable(error: unknown): boolean {
  return isErrno(error, "EACCES", "EPERM") || isTemporaryErrno(error);
}

export function cannotOpen(name: string, cause: unknown): TemporaryError {
  return new TemporaryError(`Unable to open ${name}: ${errorText(cause)}. (#4.3.0)`, { cause });
}
