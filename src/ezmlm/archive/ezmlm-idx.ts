/**
 * NAME         ezmlm-idx - make the subject index of an archive anew
 * SYNOPSIS     ezmlm-idx [-dDFvV] [-f message] DIR
 * DESCRIPTION  Reads every message of the archive and writes the index files
 *              of each hundred, then marks the list as indexed. For lists that
 *              kept an archive without index, or after their archive changed.
 * OPTIONS      -d  date from the Date field; -D from the first Received (default)
 *              -f message  begin with the hundred of this one; -F with the first
 *              -v, -V  print the version
 * FILES        num prefix archive/ indexed lock
 * EXIT CODES   0 done. 100 wrong use, or an empty list. 111 try again.
 * SEE ALSO     ezmlm-get, ezmlm-archive, ezmlm-send
 */
import { closeSync, mkdirSync, openSync, readSync, writeFileSync } from "node:fs";
import { writeFileAtomic } from "../../lib/atomic-file.ts";
import { date822 } from "../../lib/date822.ts";
import { PermanentError } from "../../lib/errors.ts";
import { SUCCESS } from "../../lib/exit-code.ts";
import { fieldText, findField, type HeaderField } from "../../lib/header.ts";
import { bufferInput, fileInput } from "../../lib/message-input.ts";
import { OptionTable, type ParsedOptions } from "../../lib/option.ts";
import type { List } from "../list/list.ts";
import { listProgram } from "../list/list-program.ts";
import { readNumber } from "../list/number.ts";
import { versionRows } from "../list/version.ts";
import { archivePath, isArchived } from "../post/archive-file.ts";
import { readIncoming } from "../post/incoming.ts";
import { catalogue } from "../reply/texts.ts";
import { type IndexEntry, indexEntry, indexLines } from "./index-line.ts";

const table = new OptionTable(
  "ezmlm-idx",
  [
    { letter: "d", help: "take dates from the Date field" },
    { letter: "D", negates: "d", help: "take dates from the first Received field" },
    { letter: "f", argument: "message", help: "begin with the hundred of this message" },
    { letter: "F", help: "begin with the first message" },
    ...versionRows,
  ],
  "DIR",
);

/** Read of each message at first. */
const HEAD_BYTES = 16 * 1024;

export const ezmlmIdx = listProgram(
  table,
  async (host, list, parsed) => {
    if (readNumber(list).number === 0) {
      throw new PermanentError(catalogue(host, list, "ERR_EMPTY_LIST"));
    }
    const prefix = list.line("prefix");
    let block = parsed.flag("F") ? 0 : Math.floor(Number(parsed.value("f") ?? 0) / 100);
    // A large archive takes minutes: the list's lock is let go after each hundred, for posts to go on.
    for (let isLast = false; !isLast; block++) {
      await list.withLock("lock", async () => {
        const max = readNumber(list).number;
        const last = Math.floor(max / 100);
        if (block <= last) await indexBlock(list, block, max, prefix, parsed.flag("d") ?? false);
        isLast = block >= last;
        if (isLast) writeFileSync(list.path("indexed"), "", { flag: "a", mode: 0o644 });
      });
    }
    return SUCCESS;
  },
  { check: checkFirst },
);

function checkFirst(parsed: ParsedOptions): void {
  const first = parsed.value("f");
  if (first !== undefined && !/^\d{1,9}$/.test(first)) throw table.error("-f wants a number");
}

async function indexBlock(
  list: List,
  block: number,
  max: number,
  prefix: string | undefined,
  byDate: boolean,
): Promise<void> {
  const lines: string[] = [];
  for (let at = 0; at < 100; at++) {
    const number = block * 100 + at;
    const path = archivePath(list, number);
    if (number < 1 || number > max || !isArchived(path)) continue;
    const fields = await archivedHeader(path);
    const entry = indexEntry(number, fields, prefix);
    const date = findField(fields, "Date");
    lines.push(indexLines(byDate ? withDate(entry, date ? fieldText(date) : "") : entry));
  }
  const directory = list.path("archive", String(block));
  mkdirSync(directory, { recursive: true, mode: 0o755 });
  writeFileAtomic(`${directory}/index`, lines.join(""), { mode: 0o644 });
}

/** The header of a file; nearly all end within the first piece, which costs a tenth of a stream. */
async function archivedHeader(path: string): Promise<readonly HeaderField[]> {
  const fd = openSync(path, "r");
  try {
    const bytes = Buffer.allocUnsafe(HEAD_BYTES);
    const head = bytes.subarray(0, readSync(fd, bytes, 0, HEAD_BYTES, 0));
    if (head.includes("\n\n")) return (await readIncoming(bufferInput(head))).fields;
  } finally {
    closeSync(fd);
  }
  const message = await readIncoming(fileInput(path));
  await message.close();
  return message.fields;
}

/** The date of a Date field in the form of a Received field. RFC 5322 3.3 and its obsolete years. */
function withDate(entry: IndexEntry, text: string): IndexEntry {
  const year = /(\d{1,2}\s+[A-Za-z]{3}\s+)(\d{2})(?=\s+\d{1,2}:)/;
  const full = text.replace(year, (_all, day: string, short: string) => {
    return `${day}${Number(short) >= 70 ? "19" : "20"}${short}`;
  });
  const time = Date.parse(full.replace(/\([^()]*\)/g, " ").replace(/ -0000$/, " +0000"));
  return Number.isNaN(time) ? { ...entry, date: "" } : { ...entry, date: date822(new Date(time)) };
}
