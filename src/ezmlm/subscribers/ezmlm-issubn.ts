/**
 * NAME         ezmlm-issubn - ask whether SENDER is on a list
 * SYNOPSIS     ezmlm-issubn [-nN] DIR [db]...
 * DESCRIPTION  Stands in a .qmail file. Goes on when SENDER is in one of the databases of the list in DIR
 *              (none named: the main one), stops with success when not. When all arguments are absolute
 *              paths, each of them is a list directory or a database in one.
 * OPTIONS      -n the other way round. -N (default). -v print the version.
 * ENVIRONMENT  SENDER
 * EXIT CODES   0 SENDER is there. 99 is not. 100 wrong use. 111 temporary.
 * BUGS         Superseded by ezmlm-checksub and ezmlm-gate.
 * SEE ALSO     ezmlm-checksub, ezmlm-gate
 */
import { existsSync } from "node:fs";
import { basename, dirname, isAbsolute, join, resolve } from "node:path";
import { PermanentError } from "../../lib/errors.ts";
import { STOP, SUCCESS } from "../../lib/exit-code.ts";
import { OptionTable } from "../../lib/option.ts";
import type { Host, Program } from "../../lib/program.ts";
import { openList } from "../list/list.ts";
import { readSender } from "../list/sender.ts";
import { printVersion, versionRows, wantsVersion } from "../list/version.ts";
import { isInAny } from "./membership.ts";

const table = new OptionTable(
  "ezmlm-issubn",
  [
    { letter: "n", help: "success when SENDER is not there" },
    { letter: "N", help: "success when SENDER is there (default)", negates: "n" },
    ...versionRows,
  ],
  "DIR [db]...",
);

export const ezmlmIssubn: Program = {
  name: "ezmlm-issubn",
  usage: table.usage,
  async run(host) {
    const options = table.parse(host.args);
    if (wantsVersion(options)) return printVersion(host);
    const [dir, ...names] = options.rest;
    if (!dir) throw table.error();
    const sender = readSender(host);
    if (sender === undefined) throw new PermanentError("SENDER is not set. (#5.3.5)");
    const there = options.rest.every((word) => isAbsolute(word))
      ? await isBelowAny(host, options.rest, sender)
      : await isIn(host, dir, names, sender);
    return there === (options.flag("n") !== true) ? SUCCESS : STOP;
  },
  runAs: (host) => table.parse(host.args).rest[0],
};

async function isIn(
  host: Host,
  dir: string,
  names: readonly string[],
  sender: string,
): Promise<boolean> {
  const list = await openList(host, dir);
  try {
    return await isInAny(list, names, sender);
  } finally {
    list.close();
  }
}

/** Each path is a list (it has a key) or a database one level below one. */
async function isBelowAny(host: Host, paths: readonly string[], sender: string): Promise<boolean> {
  for (const word of paths) {
    const path = resolve(word);
    const isList = existsSync(join(path, "key"));
    const found = isList
      ? await isIn(host, path, [], sender)
      : await isIn(host, dirname(path), [basename(path)], sender);
    if (found) return true;
  }
  return false;
}
