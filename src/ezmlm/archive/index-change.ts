/**
 * Changes of `archive/N/index`. The entry of a new post is appended where the file stands, as a new file
 * for each post would cost more than all else that is done with it; half a line that a crash left at the end
 * is dropped by the change that meets it. Any other change replaces the file. The caller holds the
 * list's `lock`.
 */
import { mkdirSync, readFileSync } from "node:fs";
import { dirname } from "node:path";
import { appendAfter, syncFile, writeFileAtomic } from "../../lib/atomic-file.ts";
import { errorText, isErrno, TemporaryError } from "../../lib/errors.ts";
import { type IndexEntry, indexLines } from "./index-line.ts";

interface HasPath {
  path(...names: string[]): string;
}

function indexPath(list: HasPath, number: number): string {
  return list.path("archive", String(Math.floor(number / 100)), "index");
}

/**
 * Put an entry into the index of its hundred, instead of one with its number. Entries with a higher
 * one go, unless they are to stay. Durable after `syncIndex()`.
 */
export function writeIndexEntry(
  list: HasPath,
  entry: IndexEntry,
  options: { readonly keepLater?: boolean } = {},
): void {
  const path = indexPath(list, entry.number);
  const lines = indexLines(entry);
  guard("write", path, () => {
    if (!appendAfter(path, lines, (tail, isWhole) => endsBefore(tail, isWhole, entry.number))) {
      change(path, entry.number, lines, options.keepLater ?? false);
    }
  });
}

/** What was written into the index of this message's hundred is on disk when it returns. */
export function syncIndex(list: HasPath, number: number): void {
  const path = indexPath(list, number);
  guard("sync", path, () => syncFile(path));
}

/** Take the entry with this number and all behind it out again. */
export function dropIndexEntry(list: HasPath, number: number): void {
  const path = indexPath(list, number);
  guard("write", path, () => change(path, number, "", false));
}

/** Whether the end of an index is a whole entry with a lower number. */
function endsBefore(tail: string, isWhole: boolean, number: number): boolean {
  const author = tail.lastIndexOf("\n\t");
  if (author < 0 || tail.indexOf("\n", author + 1) !== tail.length - 1) return false;
  const line = tail.lastIndexOf("\n", author - 1) + 1;
  // Without its line feed before it the number may be the end of a longer one.
  if (line === 0 && !isWhole) return false;
  const start = /^(\d+): /.exec(tail.slice(line, author));
  return start !== null && Number(start[1]) < number;
}

function change(path: string, number: number, lines: string, keepLater: boolean): void {
  mkdirSync(dirname(path), { recursive: true, mode: 0o755 });
  const old = readIndex(path);
  const changed = Buffer.concat([
    linesWhere(old, (each) => each < number),
    Buffer.from(lines),
    keepLater ? linesWhere(old, (each) => each > number) : Buffer.alloc(0),
  ]);
  writeFileAtomic(path, changed, { mode: 0o644 });
}

/** Lines of an index with their line feeds; old ones may be in any charset, so they are bytes. */
function readIndex(path: string): string[] {
  try {
    return readFileSync(path, "latin1").split(/(?<=\n)/);
  } catch (error) {
    if (isErrno(error, "ENOENT")) return [];
    throw error;
  }
}

/** The lines of the entries with these numbers; half a line at the end is dropped. */
function linesWhere(lines: readonly string[], wanted: (number: number) => boolean): Buffer {
  let keeping = false;
  const chosen = lines.filter((line) => {
    const start = /^(\d+)[: ]/.exec(line);
    if (start) keeping = wanted(Number(start[1]));
    return keeping && line.endsWith("\n");
  });
  return Buffer.from(chosen.join(""), "latin1");
}

function guard(verb: string, path: string, work: () => void): void {
  try {
    work();
  } catch (error) {
    throw new TemporaryError(`Unable to ${verb} ${path}: ${errorText(error)}. (#4.3.0)`, {
      cause: error,
    });
  }
}
