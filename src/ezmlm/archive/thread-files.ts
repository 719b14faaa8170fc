/**
 * The thread index: `archive/threads/YYYYMM` (threads of a month), `archive/subjects/aa/…` (messages of a
 * thread), `archive/authors/aa/…` (messages of a writer). All of it follows from the archive index and
 * may be made anew. Updates are idempotent: a message that is there already is not added twice.
 * Reference ezmlm-formats.md 8.4.
 */
import { mkdirSync, readFileSync } from "node:fs";
import { dirname } from "node:path";
import { appendAfter, syncFile, writeFileAtomic } from "../../lib/atomic-file.ts";
import { errorText, isErrno, TemporaryError } from "../../lib/errors.ts";
import type { IndexedMessage } from "./index-file.ts";

interface HasPath {
  path(...names: string[]): string;
}

/** A message with the month it is filed under, `YYYYMM`. */
export interface DatedMessage extends IndexedMessage {
  readonly month: string;
}

/** `archive/subjects/aa/b…` for a hash, likewise authors. */
export function hashPath(list: HasPath, kind: "subjects" | "authors", hash: string): string {
  return list.path("archive", kind, hash.slice(0, 2), hash.slice(2));
}

/** Whole lines of a file; none when it is not there. A crash may leave a part of one at the end. */
export function readLines(path: string): string[] {
  try {
    const lines = readFileSync(path, "utf8").split("\n");
    lines.pop();
    return lines;
  } catch (error) {
    if (isErrno(error, "ENOENT", "ENOTDIR")) return [];
    throw new TemporaryError(`Unable to read ${path}: ${errorText(error)}. (#4.3.0)`, {
      cause: error,
    });
  }
}

function write(path: string, lines: readonly string[]): void {
  guard("write", path, () => {
    mkdirSync(dirname(path), { recursive: true, mode: 0o755 });
    writeFileAtomic(path, lines.map((line) => `${line}\n`).join(""), { mode: 0o644 });
  });
}

function guard<T>(verb: string, path: string, work: () => T): T {
  try {
    return work();
  } catch (error) {
    throw new TemporaryError(`Unable to ${verb} ${path}: ${errorText(error)}. (#4.3.0)`, {
      cause: error,
    });
  }
}

function groupBy<T>(items: readonly T[], key: (item: T) => string): Map<string, T[]> {
  const groups = new Map<string, T[]>();
  for (const item of items) {
    const group = groups.get(key(item));
    if (group) group.push(item);
    else groups.set(key(item), [item]);
  }
  return groups;
}

/** File messages under their subjects and authors. */
export function fileMessages(list: HasPath, messages: readonly DatedMessage[]): void {
  for (const [hash, group] of groupBy(messages, (each) => each.subjectHash)) {
    fileUnder(hashPath(list, "subjects", hash), hash, group, (each) => ({
      title: each.subject,
      line: `${each.authorHash} ${each.author}`,
    }));
  }
  for (const [hash, group] of groupBy(messages, (each) => each.authorHash)) {
    fileUnder(hashPath(list, "authors", hash), hash, group, (each) => ({
      title: each.author,
      line: `${each.subjectHash} ${each.subject}`,
    }));
  }
}

function fileUnder(
  path: string,
  hash: string,
  messages: readonly DatedMessage[],
  describe: (message: DatedMessage) => { title: string; line: string },
): void {
  const lineOf = (message: DatedMessage): string =>
    `${message.number}:${message.month}:${describe(message).line}`;
  // The file of somebody who writes much is long, and one more post is mostly one more line.
  const added = messages.map((message) => `${lineOf(message)}\n`).join("");
  const isNext = (tail: string): boolean => endsBefore(tail, messages[0]?.number ?? 0);
  if (guard("write", path, () => appendAfter(path, added, isNext))) {
    guard("sync", path, () => syncFile(path));
    return;
  }
  const [first, ...old] = readLines(path);
  const known = new Map(old.map((line) => [Number.parseInt(line, 10), line]));
  for (const message of messages) known.set(message.number, lineOf(message));
  const title = first ?? `${hash} ${messages[0] ? describe(messages[0]).title : ""}`;
  const numbers = [...known.keys()].sort((a, b) => a - b);
  write(path, [title, ...numbers.map((number) => known.get(number) ?? "")]);
}

/** Whether a file ends with the whole line of an earlier message. */
function endsBefore(tail: string, number: number): boolean {
  const last = /\n(\d+):\d{6}:[^\n]*\n$/.exec(tail.slice(tail.lastIndexOf("\n", tail.length - 2)));
  return last !== null && Number(last[1]) < number;
}

/** How many messages a file of a thread holds, and its first line. */
function headOf(path: string): { title: string; count: number } {
  const bytes = guard("read", path, () => readFileSync(path));
  const end = bytes.indexOf(10);
  let count = -1;
  for (let at = end; at >= 0; at = bytes.indexOf(10, at + 1)) count++;
  return { title: bytes.toString("utf8", 0, Math.max(end, 0)), count: Math.max(count, 0) };
}

/**
 * Bring the months up to date: one line per thread, `LAST:HASH [COUNT] SUBJECT`, those that got
 * messages at the end. Call it after fileMessages(): counts come from the files of the subjects.
 */
export function fileThreads(list: HasPath, dated: readonly DatedMessage[]): void {
  for (const [month, group] of groupBy(dated, (each) => each.month)) {
    const path = list.path("archive", "threads", month);
    const threads = new Map<string, string>();
    for (const line of readLines(path))
      threads.set(/^\d+:([a-p]{20})/.exec(line)?.[1] ?? line, line);
    for (const [hash, messages] of groupBy(group, (each) => each.subjectHash)) {
      const { title, count } = headOf(hashPath(list, "subjects", hash));
      threads.delete(hash);
      const last = messages.at(-1)?.number ?? 0;
      threads.set(hash, `${last}:${hash} [${count}] ${title.slice(21)}`);
    }
    write(path, [...threads.values()]);
  }
}
