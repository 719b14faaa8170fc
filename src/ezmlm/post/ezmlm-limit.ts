/**
 * NAME         ezmlm-limit - hold a list that gets too many posts
 * SYNOPSIS     ezmlm-limit [-dDF] [-f file] [-n messages] [-t seconds] DIR
 * DESCRIPTION  Stands before ezmlm-store in DIR/editor. When more than so many messages were posted in
 *              so many seconds, it makes DIR/modpost, so that from then on posts wait for a moderator;
 *              the owner removes that file when the storm is over. With -d the post is deferred
 *              instead, as on a list whose switches stand in DIR/flags or DIR/config. On a moderated list
 *              it does nothing.
 * OPTIONS      -d  defer. -D  moderate (default).
 *              -n messages  default 30. -t seconds  default 3600.
 *              -f file  where the beginning of the interval is kept, in DIR; default loopnum.
 *              -F  accepted, without effect.
 * ENVIRONMENT  None.
 * FILES        num loopnum modpost lock
 * EXIT CODES   0 go on. 100 wrong command line. 111 deferred, or temporary trouble.
 * SEE ALSO     ezmlm-store, ezmlm-send
 */
import { readFileSync, rmSync } from "node:fs";
import { writeFileAtomic } from "../../lib/atomic-file.ts";
import { unixSeconds } from "../../lib/date822.ts";
import { errorText, isErrno, TemporaryError } from "../../lib/errors.ts";
import { SUCCESS } from "../../lib/exit-code.ts";
import { OptionTable, type ParsedOptions } from "../../lib/option.ts";
import type { Host } from "../../lib/program.ts";
import type { List } from "../list/list.ts";
import { listProgram } from "../list/list-program.ts";
import { readNumber } from "../list/number.ts";
import { catalogue } from "../reply/texts.ts";

const options = new OptionTable(
  "ezmlm-limit",
  [
    { letter: "d", help: "defer" },
    { letter: "D", help: "moderate (default)", negates: "d" },
    { letter: "F", help: "no effect", ignored: true },
    { letter: "f", argument: "file", help: "state file in DIR, default loopnum" },
    { letter: "n", argument: "messages", help: "how many, default 30" },
    { letter: "t", argument: "seconds", help: "in how long, default 3600" },
  ],
  "DIR",
);

export const ezmlmLimit = listProgram(
  options,
  async (host, list, parsed) => {
    const limit = readLimit(parsed);
    if (!list.has("modpost")) await list.withLock("lock", async () => check(host, list, limit));
    return SUCCESS;
  },
  { check: readLimit },
);

interface Limit {
  readonly file: string;
  readonly messages: number;
  readonly seconds: number;
  readonly defers: boolean;
}

function readLimit(parsed: ParsedOptions): Limit {
  return {
    file: stateFile(parsed.value("f")),
    messages: wholeNumber(parsed, "n", 30),
    seconds: wholeNumber(parsed, "t", 3600),
    defers: parsed.flag("d") ?? false,
  };
}

function check(host: Host, list: List, limit: Limit): void {
  const now = unixSeconds(host.now());
  const { number } = readNumber(list);
  const path = list.path(limit.file);
  const start = readState(path);
  if (!start || start.when > now || now - start.when > limit.seconds || start.number > number) {
    write(path, `${number}:${now}\n`);
    return;
  }
  if (number < start.number + limit.messages) return;
  if (limit.defers) throw new TemporaryError(catalogue(host, list, "ERR_EXCESS_DEFER"));
  write(list.path("modpost"), "");
  // A list of old keeps its switches in one file, which the new one does not change.
  if (!list.has("modpost")) throw new TemporaryError(catalogue(host, list, "ERR_EXCESS_DEFER"));
  // The next interval begins when the owner takes modpost away.
  rmSync(path, { force: true });
  host.stderr.write(`ezmlm-limit: info: ${catalogue(host, list, "ERR_EXCESS_MOD")}\n`);
}

function readState(path: string): { number: number; when: number } | undefined {
  try {
    const match = /^(\d+):(\d+)/.exec(readFileSync(path, "latin1"));
    return match ? { number: Number(match[1]), when: Number(match[2]) } : undefined;
  } catch (error) {
    if (isErrno(error, "ENOENT")) return undefined;
    throw new TemporaryError(`Unable to read ${path}: ${errorText(error)}. (#4.3.0)`, {
      cause: error,
    });
  }
}

function write(path: string, text: string): void {
  try {
    writeFileAtomic(path, text, { mode: 0o600 });
  } catch (error) {
    throw new TemporaryError(`Unable to write ${path}: ${errorText(error)}. (#4.3.0)`, {
      cause: error,
    });
  }
}

function wholeNumber(parsed: ParsedOptions, letter: string, fallback: number): number {
  const text = parsed.value(letter);
  if (text === undefined) return fallback;
  if (!/^\d{1,9}$/.test(text)) throw options.error(`-${letter} takes a number`);
  return Number(text);
}

/** A single name: the state of a list lies in its directory. */
function stateFile(name: string | undefined): string {
  if (name === undefined) return "loopnum";
  if (!/^[\w.-]+$/.test(name) || /^\.+$/.test(name)) throw options.error("-f takes a file name");
  return name;
}
