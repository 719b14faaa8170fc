/**
 * NAME         ezmlm-archive - make the thread and author index of an archive
 * SYNOPSIS     ezmlm-archive [-cCFsSTvV] [-f message] [-t message] DIR
 * DESCRIPTION  Stands in DIR/editor and the like after a post, when DIR/threaded
 *              exists. Files the messages since the last run by thread, by
 *              author and by month. May be run over messages again.
 * OPTIONS      -c  from the first message on; -C from the last run on (default)
 *              -f message  from the hundred of this one; -F no such limit
 *              -t message  up to this one; -T up to the last (default)
 *              -s, -S  accepted: files are always written safely
 *              -v, -V  print the version
 * FILES        num archnum archive/N/index archive/threads archive/subjects
 *              archive/authors archive/lock lock
 * EXIT CODES   0 done, also when there is nothing to do. 99 done, with gaps in
 *              the index. 100 wrong use or an empty list. 111 try again.
 * SEE ALSO     ezmlm-idx, ezmlm-get
 */
import { mkdirSync } from "node:fs";
import { PermanentError } from "../../lib/errors.ts";
import { type ExitCode, STOP, SUCCESS } from "../../lib/exit-code.ts";
import { OptionTable, type ParsedOptions } from "../../lib/option.ts";
import type { Host } from "../../lib/program.ts";
import type { List } from "../list/list.ts";
import { listProgram } from "../list/list-program.ts";
import { readArchiveNumber, readNumber, writeArchiveNumber } from "../list/number.ts";
import { versionRows } from "../list/version.ts";
import { archivePath, isArchived } from "../post/archive-file.ts";
import { catalogue } from "../reply/texts.ts";
import { type IndexedMessage, noHash, readIndexRange } from "./index-file.ts";
import { type DatedMessage, fileMessages, fileThreads } from "./thread-files.ts";

const table = new OptionTable(
  "ezmlm-archive",
  [
    { letter: "c", help: "from the first message on" },
    { letter: "C", negates: "c", help: "from the last run on (default)" },
    { letter: "f", argument: "message", help: "from the hundred of this message" },
    { letter: "F", help: "no such limit" },
    { letter: "t", argument: "message", help: "up to this message" },
    { letter: "T", help: "up to the last message (default)" },
    { letter: "s", help: "accepted" },
    { letter: "S", negates: "s", help: "accepted" },
    ...versionRows,
  ],
  "DIR",
);

/**
 * Messages filed at once: bounds the memory of a run over a large archive, which rewrites the file of
 * somebody who wrote much once for each slice.
 */
const sliceSize = 10_000;
const months = "jan feb mar apr may jun jul aug sep oct nov dec".split(" ");

export const ezmlmArchive = listProgram(table, async (host, list, parsed) => {
  mkdirSync(list.path("archive"), { recursive: true, mode: 0o755 });
  return await list.withLock("archive/lock", async () => fileNew(host, list, parsed));
});

function fileNew(host: Host, list: List, parsed: ParsedOptions): ExitCode {
  const max = readNumber(list).number;
  if (max === 0) throw new PermanentError(catalogue(host, list, "ERR_EMPTY_LIST"));
  const done = readArchiveNumber(list);
  const start = messageOption(parsed, "f");
  const end = Math.min(messageOption(parsed, "t") ?? max, max);
  const from = parsed.flag("c")
    ? 1
    : start === undefined || parsed.flag("F")
      ? done + 1
      : Math.max(1, Math.floor(start / 100) * 100);
  let month = lastMonth(list, from);
  let hasGaps = false;
  for (let at = from; at <= end; at += sliceSize) {
    const to = Math.min(end, at + sliceSize - 1);
    const index = readIndexRange(list, at, to);
    const messages: DatedMessage[] = [];
    for (let number = at; number <= to; number++) {
      const entry = index.get(number);
      if (!entry && !isArchived(archivePath(list, number))) continue;
      hasGaps ||= !entry;
      // Late dates must not move a thread back: the month never goes down within a run.
      const own = monthOf(entry?.date ?? "");
      if (own !== undefined && own > month) month = own;
      if (month === "") month = currentMonth(host);
      messages.push({ ...(entry ?? unknown(number)), month });
    }
    fileMessages(list, messages);
    fileThreads(list, messages);
    if (to > done) writeArchiveNumber(list, to);
  }
  if (!hasGaps) return SUCCESS;
  host.stderr.write(
    "ezmlm-archive: warning: some messages are not in the index; ezmlm-idx makes it anew\n",
  );
  return STOP;
}

function messageOption(parsed: ParsedOptions, letter: string): number | undefined {
  const text = parsed.value(letter);
  if (text === undefined) return undefined;
  if (!/^\d{1,9}$/.test(text)) throw table.error(`-${letter} wants a number`);
  return Number(text);
}

function unknown(number: number): IndexedMessage {
  return {
    number,
    subjectHash: noHash,
    subject: "",
    date: "",
    authorHash: noHash,
    author: "",
  };
}

/** `YYYYMM` of an index date; undefined when there is none to see. */
export function monthOf(date: string): string | undefined {
  const match = /\b\d{1,2} ([A-Za-z]{3})[a-z]* (\d{4})\b/.exec(date);
  const month = months.indexOf((match?.[1] ?? "").toLowerCase());
  return match && month >= 0 ? `${match[2]}${String(month + 1).padStart(2, "0")}` : undefined;
}

/** Month of the message before `from`, else "": any date is later. */
function lastMonth(list: List, from: number): string {
  const before = from > 1 ? readIndexRange(list, from - 1, from - 1).get(from - 1) : undefined;
  return (before && monthOf(before.date)) ?? "";
}

function currentMonth(host: Host): string {
  return host.now().toISOString().slice(0, 7).replace("-", "");
}
