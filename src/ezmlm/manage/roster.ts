/**
 * What moderators may see: subscribers, their number, the log. It goes to the address recorded in the
 * moderator database and nowhere else. Reference ezmlm.md 4.5, ezmlm-formats.md 3.
 */
import { readFileSync } from "node:fs";
import { date822 } from "../../lib/date822.ts";
import { errorText, isErrno, PermanentError, TemporaryError } from "../../lib/errors.ts";
import { type ExitCode, SUCCESS } from "../../lib/exit-code.ts";
import { catalogue } from "../reply/texts.ts";
import { answer } from "./answer.ts";
import type { ManageContext } from "./context.ts";

/** The moderator who may see it; throws PermanentError for everybody else. */
export function requireModerator(context: ManageContext, isServed: boolean): string {
  const { host, list, moderator } = context;
  if (!isServed) throw new PermanentError(catalogue(host, list, "ERR_NOT_AVAILABLE"));
  if (moderator === undefined) {
    throw new PermanentError(catalogue(host, list, "ERR_NOT_ALLOWED"));
  }
  return moderator;
}

/** All subscribers and how many, or (`listn`) just how many. */
export async function sendList(context: ManageContext, withNames: boolean): Promise<ExitCode> {
  const { host, list, options, db } = context;
  const isServed = options.mayList && (list.has("modsub") || list.has("remote"));
  const moderator = requireModerator(context, isServed);
  const lines: string[] = [];
  let count = 0;
  if (withNames) {
    for await (const batch of db.each()) {
      count += batch.length;
      lines.push(`${batch.map((address) => address.replace(/[\r\n\0]/g, "?")).join("\n")}\n`);
    }
  } else {
    count = await db.count();
  }
  const total = catalogue(host, list, "TXT_LISTMEMBERS", String(count));
  await answer(context, {
    text: withNames ? "list" : "listn",
    parts: [],
    insert: `${lines.join("")}\n  ${total}\n`,
    subject: "SUB_LIST",
    to: [moderator],
    about: moderator,
  });
  return SUCCESS;
}

/** The Log, or its lines that match a pattern. */
export async function sendLog(context: ManageContext, pattern: string): Promise<ExitCode> {
  const { host, list, options, dbName } = context;
  const moderator = requireModerator(context, options.mayList && list.has("remote"));
  const path = list.path(...(dbName === "" ? [] : [dbName]), "Log");
  await answer(context, {
    text: "log",
    parts: [],
    insert: searchLog(readLog(path), pattern),
    subject: pattern === "" ? "SUB_LOG" : "SUB_LOG_SEARCH",
    to: [moderator],
    about: moderator,
  });
  return SUCCESS;

  function readLog(file: string): string {
    try {
      return readFileSync(file, "latin1");
    } catch (error) {
      if (isErrno(error, "ENOENT")) {
        throw new PermanentError(catalogue(host, list, "ERR_NOEXIST"));
      }
      throw new TemporaryError(`Unable to read ${file}: ${errorText(error)}. (#4.3.0)`, {
        cause: error,
      });
    }
  }
}

/** Lines of a Log with a readable date in front. `_` in the pattern stands for any one character. */
export function searchLog(log: string, pattern: string): string {
  const wanted = pattern
    .toLowerCase()
    .replace(/[^a-z0-9._]/g, "_")
    .replaceAll(".", "\\.")
    .replaceAll("_", ".");
  const matches = new RegExp(wanted, "i");
  return log
    .split("\n")
    .filter((line) => line !== "" && matches.test(line))
    .map((line) => `${dateOf(line)}: ${line}\n`)
    .join("");
}

function dateOf(line: string): string {
  return date822(new Date(1000 * (Number.parseInt(line, 10) || 0)));
}
