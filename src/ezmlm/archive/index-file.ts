/**
 * Reading the archive index: two lines per message in `archive/N/index`, in today's form and in the
 * older ones (no author line, no colon). Bytes that are no UTF-8 are taken as Latin-1. Reference
 * ezmlm-formats.md 8.
 */
import { readFileSync } from "node:fs";
import { errorText, isErrno, TemporaryError } from "../../lib/errors.ts";

export interface IndexedMessage {
  readonly number: number;
  readonly subjectHash: string;
  /** With `Re: ` where it was a reply. */
  readonly subject: string;
  /** As in the Received field; "" when unknown. */
  readonly date: string;
  readonly authorHash: string;
  readonly author: string;
}

/** Hash that stands for "not in the index". */
export const noHash = "a".repeat(20);

/** Entries of one hundred; undefined: there is no such file. */
export function readIndexBlock(
  list: { path(...names: string[]): string },
  block: number,
): IndexedMessage[] | undefined {
  const path = list.path("archive", String(block), "index");
  try {
    return parseIndex(readFileSync(path));
  } catch (error) {
    if (isErrno(error, "ENOENT", "ENOTDIR")) return undefined;
    throw new TemporaryError(`Unable to read ${path}: ${errorText(error)}. (#4.3.0)`, {
      cause: error,
    });
  }
}

/** Entries of the messages `from` to `to` that are in the index. */
export function readIndexRange(
  list: { path(...names: string[]): string },
  from: number,
  to: number,
): Map<number, IndexedMessage> {
  const found = new Map<number, IndexedMessage>();
  for (let block = Math.floor(from / 100); block <= Math.floor(to / 100); block++) {
    for (const entry of readIndexBlock(list, block) ?? []) {
      if (entry.number >= from && entry.number <= to) found.set(entry.number, entry);
    }
  }
  return found;
}

export function parseIndex(bytes: Buffer): IndexedMessage[] {
  const utf8 = bytes.toString("utf8");
  const text = utf8.includes("\ufffd") ? bytes.toString("latin1") : utf8;
  const entries: IndexedMessage[] = [];
  for (const line of text.split("\n")) {
    const subject = /^(\d+)(?::? (?:([a-p]{20}) )?|:)(.*)$/.exec(line);
    if (subject) {
      entries.push({
        number: Number(subject[1]),
        subjectHash: subject[2] ?? noHash,
        subject: subject[3] ?? "",
        date: "",
        authorHash: noHash,
        author: "",
      });
      continue;
    }
    const author = /^\t([^;]*);(?:([a-p]{20}) | ?)(.*)$/.exec(line);
    const last = entries.at(-1);
    if (!author || !last) continue;
    entries[entries.length - 1] = {
      ...last,
      date: author[1] ?? "",
      authorHash: author[2] ?? noHash,
      author: author[3] ?? "",
    };
  }
  return entries;
}

/** `D Mon YYYY` of an index date: time, zone and weekday go. */
export function shortDate(date: string): string {
  return date.replace(/^[A-Za-z]{3}, */, "").replace(/ \d{1,2}:\d\d(:\d\d)?.*$/, "");
}
