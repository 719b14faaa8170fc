/**
 * Small state files that are old or new after a crash, never half: temp file beside it, fsync,
 * rename, fsync of the directory. Callers that read, change and write hold a lock over all three.
 */
import {
  closeSync,
  constants,
  fdatasyncSync,
  fstatSync,
  fsyncSync,
  openSync,
  readSync,
  renameSync,
  rmSync,
  writeSync,
} from "node:fs";
import { dirname } from "node:path";
import { isErrno } from "./errors.ts";
import { writeAllSync } from "./write-all.ts";

export interface AtomicWrite {
  /** Permission bits of the new file; default 0600. */
  readonly mode?: number;
  /** Path of the temp file, in the same directory; default `<path>n`. */
  readonly temp?: string;
}

/** Replace `path` by `bytes`. Throws the system error; then `path` is as it was. */
export function writeFileAtomic(
  path: string,
  bytes: string | Uint8Array,
  options: AtomicWrite = {},
): void {
  const temp = options.temp ?? `${path}n`;
  // A temp file left by a crash may belong to a mode of long ago: begin with a new one.
  rmSync(temp, { force: true });
  const fd = openSync(temp, "wx", options.mode ?? 0o600);
  try {
    writeAllSync(fd, bytes);
    fsyncSync(fd);
  } catch (error) {
    closeSync(fd);
    rmSync(temp, { force: true });
    throw error;
  }
  closeSync(fd);
  renameSync(temp, path);
  fsyncDirectory(dirname(path));
}

/** Smallest piece a disk writes as a whole, in bytes. */
const SECTOR_BYTES = 512;

/**
 * Write `bytes` over a file of the same length, where it stands; durable when true comes back. False:
 * there is no such file, or its length is another one; use writeFileAtomic(). One sector, so that a power
 * failure leaves the old or the new. A new file and the removal of the old one cost ext4 up to a
 * millisecond of CPU when it happens often, and a commit of its journal; this costs neither.
 */
export function overwriteFile(path: string, bytes: string): boolean {
  const buffer = Buffer.from(bytes);
  if (buffer.length === 0 || buffer.length > SECTOR_BYTES) return false;
  let fd: number;
  try {
    fd = openSync(path, constants.O_WRONLY | constants.O_NOFOLLOW);
  } catch (error) {
    if (isErrno(error, "ENOENT", "ELOOP", "EACCES")) return false;
    throw error;
  }
  try {
    const status = fstatSync(fd);
    // Another name of the file would see a change nobody made there.
    if (!status.isFile() || status.size !== buffer.length || status.nlink !== 1) return false;
    if (writeSync(fd, buffer, 0, buffer.length, 0) !== buffer.length) return false;
    fdatasyncSync(fd);
    return true;
  } finally {
    closeSync(fd);
  }
}

/**
 * The content of a file that overwriteFile() writes, up to a sector of it: two equal readings, as a
 * reading may fall into the middle of a writing. Throws the system error.
 */
export function readOverwritten(path: string): string {
  const fd = openSync(path, "r");
  try {
    const bytes = Buffer.allocUnsafe(SECTOR_BYTES);
    const read = (): string => bytes.toString("latin1", 0, readSync(fd, bytes, 0, bytes.length, 0));
    for (let last = read(); ; ) {
      const again = read();
      if (again === last) return again;
      last = again;
    }
  } finally {
    closeSync(fd);
  }
}

/** What appendAfter() shows of the end of a file at most, in bytes. */
const TAIL_BYTES = 4096;

/**
 * Append lines to a file that is there, if its end fits; not yet durable, see syncFile(). `fits` gets the
 * last bytes as Latin-1, whole lines from the second one on, and whether that is the whole file. False,
 * with nothing changed: no such file, or it does not fit. A crash may leave a part of the lines.
 */
export function appendAfter(
  path: string,
  lines: string,
  fits: (tail: string, isWhole: boolean) => boolean,
): boolean {
  let fd: number;
  try {
    fd = openSync(path, "r+");
  } catch (error) {
    if (isErrno(error, "ENOENT")) return false;
    throw error;
  }
  try {
    const { size } = fstatSync(fd);
    const tail = Buffer.allocUnsafe(Math.min(size, TAIL_BYTES));
    const read = readSync(fd, tail, 0, tail.length, size - tail.length);
    if (read < tail.length || !fits(tail.toString("latin1"), tail.length === size)) return false;
    const bytes = Buffer.from(lines);
    for (let at = 0; at < bytes.length; ) {
      at += writeSync(fd, bytes, at, bytes.length - at, size + at);
    }
    return true;
  } finally {
    closeSync(fd);
  }
}

/** What was written to a file is on disk when it returns. */
export function syncFile(path: string): void {
  const fd = openSync(path, "r");
  try {
    fsyncSync(fd);
  } finally {
    closeSync(fd);
  }
}

/** Make names in a directory durable. */
export function fsyncDirectory(path: string): void {
  syncFile(path);
}
