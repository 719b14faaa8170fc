/** The common body of ezmlm-sub and ezmlm-unsub: who, in which database, with which Log line. */
import { errorText, PermanentError } from "../../lib/errors.ts";
import { type ExitCode, PERMANENT, SUCCESS } from "../../lib/exit-code.ts";
import { type OptionRow, OptionTable, type ParsedOptions } from "../../lib/option.ts";
import type { Host, Program } from "../../lib/program.ts";
import type { List } from "../list/list.ts";
import { listProgram } from "../list/list-program.ts";
import { versionRows } from "../list/version.ts";
import { readEntries } from "./entry-lines.ts";
import { type Change, type Entry, type SubscriberDb, storedSpelling } from "./subdb.ts";

/** Options about the store, the same for every program on people. */
export const storeRows: readonly OptionRow[] = [
  { letter: "m", help: "the store of the list (default)" },
  { letter: "M", help: "hashed files, as -S std", negates: "m" },
  { letter: "S", argument: "subdb", help: "another store, as in the file subdb" },
  ...versionRows,
];

/** Which store the options name; undefined: the list's own. */
export function storeOption(options: ParsedOptions): string | undefined {
  return options.value("S") ?? (options.flag("m") === false ? "std" : undefined);
}

/** Big enough that the hashed files are not rewritten too often, small enough to hold. */
const batchSize = 250_000;

type Apply = (db: SubscriberDb, entries: readonly Entry[], change: Change) => Promise<number>;

/** A program that adds or removes addresses from its arguments or standard input. */
export function changeProgram(name: string, apply: Apply): Program {
  const table = new OptionTable(
    name,
    [
      ...storeRows,
      { letter: "n", help: "names stand beside the addresses" },
      { letter: "N", help: "only addresses (default)", negates: "n" },
      { letter: "h", argument: "hash", help: "force this hash, 1 to 99" },
      { letter: "H", help: "hash of the address (default)" },
      { letter: "t", argument: "tag", help: "event for the Log; default manual" },
    ],
    "DIR [db] [address [name]]...",
  );
  return listProgram(
    table,
    (host, list, options, operands) => run({ host, list, options, operands, table, apply }),
    {
      operands: Number.POSITIVE_INFINITY,
      check: (options) => void changeOf(options, table),
    },
  );
}

async function run(task: {
  readonly host: Host;
  readonly list: List;
  readonly options: ParsedOptions;
  /** `[db] [address [name]]...` */
  readonly operands: readonly string[];
  readonly table: OptionTable;
  readonly apply: Apply;
}): Promise<ExitCode> {
  const { host, list, options, operands, table, apply } = task;
  const rest = [...operands];
  const name = rest[0] !== undefined && !rest[0].includes("@") ? (rest.shift() ?? "") : "";
  const named = options.flag("n") === true;
  const change = changeOf(options, table);
  const db = list.db(name, storeOption(options));
  if (rest.length > 0) {
    const entries = argumentEntries(rest, named);
    for (const entry of entries) storedSpelling(entry.address);
    await apply(db, entries, change);
    return SUCCESS;
  }
  let refused = 0;
  for await (const batch of readEntries(host.stdin, named, batchSize)) {
    const good = batch.filter((entry) => isAddress(host, table.program, entry.address));
    refused += batch.length - good.length;
    await apply(db, good, change);
  }
  return refused > 0 ? PERMANENT : SUCCESS;
}

/** One bad line of a long file keeps nobody else out; it is named, and the exit code tells. */
function isAddress(host: Host, program: string, address: string): boolean {
  try {
    storedSpelling(address);
    return true;
  } catch (error) {
    if (!(error instanceof PermanentError)) throw error;
    host.stderr.write(`${program}: warning: ${JSON.stringify(address)}: ${errorText(error)}\n`);
    return false;
  }
}

function changeOf(options: ParsedOptions, table: OptionTable): Change {
  const event = options.value("t") ?? "manual";
  const forced = options.value("h");
  if (forced === undefined) return { event };
  if (!/^\d{1,2}$/.test(forced)) throw table.error("the hash is a number from 1 to 99");
  return Number(forced) === 0 ? { event } : { event, hash: Number(forced) };
}

function argumentEntries(words: readonly string[], named: boolean): Entry[] {
  if (!named) return words.map((address) => ({ address }));
  const entries: Entry[] = [];
  for (let at = 0; at < words.length; at += 2) {
    const comment = words[at + 1];
    entries.push({ address: words[at] ?? "", ...(comment !== undefined && { comment }) });
  }
  return entries;
}
