/**
 * Reading the small files of lists: values, texts, keys. One post reads some of them five times, so what
 * was read stays in memory, and one look at the file says whether it is still that: inode, size and both
 * times. A file changed so lately that the next change might carry the same time is not kept.
 */
import { readFileSync, type Stats, statSync } from "node:fs";
import { errorText, isErrno, TemporaryError } from "../../lib/errors.ts";
import { isSameFile, isSettled } from "../../lib/same-file.ts";

interface KeptFile {
  readonly status: Stats;
  readonly bytes: Buffer;
}

/** Larger files are read each time. */
const FILE_LIMIT_BYTES = 32 * 1024;
/** What a process keeps at most, of all lists together. */
const KEEP_LIMIT_BYTES = 4 * 1024 * 1024;
/** What a kept file costs beside its bytes. */
const ENTRY_BYTES = 600;

/** In the order of reading: the first one goes first. */
const kept = new Map<string, KeptFile>();
let keptBytes = 0;

/**
 * The bytes of a file as it is now, not to be changed; undefined: not there. Throws TemporaryError when
 * it is there and cannot be read.
 */
export function readListFile(path: string): Buffer | undefined {
  try {
    // Most files of the look-up are not there, and an exception costs five times a stat.
    const status = statSync(path, { throwIfNoEntry: false });
    if (!status) return undefined;
    const known = kept.get(path);
    if (known && isSameFile(known.status, status)) return known.bytes;
    if (known) forget(path, known);
    const bytes = readFileSync(path);
    if (mayKeep(status) && bytes.length === status.size) keep(path, { status, bytes });
    return bytes;
  } catch (error) {
    if (isErrno(error, "ENOENT", "ENOTDIR")) return undefined;
    throw new TemporaryError(`Unable to read ${path}: ${errorText(error)}. (#4.3.0)`, {
      cause: error,
    });
  }
}

/** Times of files come from the clock of the system, also where a program is told another time. */
function mayKeep(status: Stats): boolean {
  return isSettled(status) && status.isFile() && status.size <= FILE_LIMIT_BYTES;
}

function keep(path: string, file: KeptFile): void {
  kept.set(path, file);
  keptBytes += file.bytes.length + ENTRY_BYTES;
  for (const [oldest, entry] of kept) {
    if (keptBytes <= KEEP_LIMIT_BYTES) break;
    forget(oldest, entry);
  }
}

function forget(path: string, file: KeptFile): void {
  kept.delete(path);
  keptBytes -= file.bytes.length + ENTRY_BYTES;
}
