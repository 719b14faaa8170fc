/**
 * Reading directories that are nearly always empty and are looked into with every post: one stat shows
 * that nothing came since it was seen empty. As with `list-file.ts`, what changed so lately that the next
 * change might carry the same time is read again.
 */
import { readdirSync, type Stats, statSync } from "node:fs";
import { errorText, isErrno, TemporaryError } from "../../lib/errors.ts";
import { isSameFile, isSettled } from "../../lib/same-file.ts";

const MOST_KNOWN = 4000;

/** As they were before they were read, and found empty. */
const empty = new Map<string, Stats>();

/** The names in a directory; none when it is not there. Throws TemporaryError when it cannot be read. */
export function namesIn(path: string): string[] {
  try {
    const status = statSync(path, { throwIfNoEntry: false });
    if (!status) return [];
    const known = empty.get(path);
    if (known && isSameFile(known, status)) return [];
    const names = readdirSync(path);
    if (names.length > 0 || !isSettled(status)) empty.delete(path);
    else {
      if (empty.size >= MOST_KNOWN) empty.clear();
      empty.set(path, status);
    }
    return names;
  } catch (error) {
    if (isErrno(error, "ENOENT")) return [];
    throw new TemporaryError(`Unable to read ${path}: ${errorText(error)}. (#4.3.0)`, {
      cause: error,
    });
  }
}
