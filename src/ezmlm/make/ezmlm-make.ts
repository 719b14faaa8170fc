/**
 * NAME         ezmlm-make - make a mailing list, or change one
 * SYNOPSIS     ezmlm-make [-+] [-a..zA..Z] [-C file] [-0 arg] [-3..-9 arg] DIR [DOT LOCAL HOST
 *              [DIGESTCODE]]
 * DESCRIPTION  Makes the list LOCAL@HOST in the new directory DIR and the links DOT, DOT-owner,
 *              DOT-default … that bring its mail there; DOT is for example ~/.qmail-mylist. DIR and DOT
 *              may be relative. Mail is delivered by names in lower case with : for a dot, so DOT for
 *              My.List is .qmail-my:list; LOCAL may stay My.List. With -+ or -e changes an existing list: -+ keeps what is not named, -e
 *              puts switches that are not named back to their defaults. Lists work at once, also while
 *              the mail server runs. Which files come to be is said by a template, see ezmlmrc.
 *              A new list keeps its subscribers in DIR/list.db. `-6 std` keeps them in hashed files as
 *              ezmlm-idx does; so does a list on a network file system.
 *              What has no letter is switched on by making a file in DIR: replytolist, rewritefrom,
 *              unsubscribelink (see ezmlm-send).
 * OPTIONS      A capital letter turns a switch off. -a archive (default on), -b archive for moderators
 *              only, -c template .ezmlmrc beside DOT, -C template file or directory, -d digest, -f subject
 *              prefix, -g archive for subscribers only, -h no subscribe confirmation, -i thread index, -j
 *              no unsubscribe confirmation, -l moderators may list, -m moderate posts, -n moderators may
 *              edit texts, -o only moderators post, -p public (default on), -r remote administration,
 *              -s moderate subscriptions, -t trailer, -u subscribers post, -w no warnings, -x remove
 *              attachments, -y confirm posts. -0 parent list, -3 From address, -5 owner address, -6
 *              store, -7 -8 -9 databases of the three kinds of moderators. -ee and -++ overwrite files
 *              that owners usually change.
 * ENVIRONMENT  EZMLM_BIN directory of the commands, EZMLM_ETC directory with default/ezmlmrc.
 * FILES        DIR, DOT, templates/ezmlmrc.
 * EXIT CODES   0 made or changed. 100 wrong use, the list exists, or there is none to change. 111 trouble
 *              with a file.
 * DIAGNOSTICS  warning: no mail comes to DOT  it has capital letters or dots; see above. The list is made.
 * SECURITY     When root runs it, files belong to the owner of the directory that holds DOT; where that is
 *              root, to the account that list mail is delivered as.
 * SEE ALSO     ezmlm-sub, ezmlm-list
 */

import { readFileSync, statSync, writeFileSync } from "node:fs";
import { basename, dirname, join, resolve } from "node:path";
import { asciiLower } from "../../lib/address.ts";
import { unixSeconds } from "../../lib/date822.ts";
import { errorText, isErrno, PermanentError, TemporaryError } from "../../lib/errors.ts";
import { SUCCESS } from "../../lib/exit-code.ts";
import { lockFile } from "../../lib/lock.ts";
import { ownerFor } from "../../lib/one-uid.ts";
import type { ParsedOptions } from "../../lib/option.ts";
import type { Host, Program } from "../../lib/program.ts";
import { newKey } from "../list/cookie.ts";
import { isLocalDirectory } from "../list/database.ts";
import { openList } from "../list/list.ts";
import { decodeText } from "../list/value-file.ts";
import { printVersion } from "../list/version.ts";
import { type BuildPlace, buildList, changeList, nameExists } from "./build.ts";
import { type RecipeSettings, readRecipe, versionWarning } from "./recipe.ts";
import {
  flagString,
  makeOptions,
  readStored,
  resolveSwitches,
  resolveValues,
  type StoredList,
} from "./switches.ts";

const databases = ["", "digest", "allow", "deny", "mod"];

export const ezmlmMake: Program = {
  name: "ezmlm-make",
  usage: makeOptions.usage,
  async run(host) {
    const options = makeOptions.parse(host.args);
    if (options.count("v") + options.count("V") > 0) {
      return printVersion(host, "ezmlm-make");
    }
    const [dirArgument, ...rest] = options.rest;
    if (!dirArgument || rest.length > 4) throw makeOptions.error();
    const dir = resolve(host.cwd, dirArgument);
    if (/['\n\0]/.test(dir))
      throw new PermanentError("DIR must not contain ' or a line feed. (#5.3.5)");
    if (!isEdit(options)) return make(host, options, dir);
    if (!nameExists(join(dir, "key"))) {
      throw new PermanentError(`${dir} is no list: it has no key. (#5.3.5)`);
    }
    const lock = await lockFile(join(dir, "lock"), { signal: host.signal });
    try {
      return await make(host, options, dir, readStored(dir));
    } finally {
      lock.release();
    }
  },
  runAs(host) {
    const options = makeOptions.parse(host.args);
    const [dir, dot] = options.rest;
    return isEdit(options) || !dot ? dir : dirname(resolve(host.cwd, dot));
  },
};

function isEdit(options: ParsedOptions): boolean {
  return options.flag("e") === true || options.count("+") > 0;
}

async function make(
  host: Host,
  options: ParsedOptions,
  dir: string,
  stored?: StoredList,
): Promise<number> {
  const [, givenDot, givenLocal, givenHost, givenCode] = options.rest;
  const dot = givenDot ? resolve(host.cwd, givenDot) : stored?.dot;
  const local = givenLocal ?? stored?.local;
  const listHost = givenHost ?? stored?.host;
  if (!dot || !local || !listHost) throw makeOptions.error();
  const code = givenCode ?? stored?.code ?? "";
  const values = resolveValues(options, dot, stored);
  checkParts(local, listHost, code, values);
  const moved = stored !== undefined && (local !== stored.local || listHost !== stored.host);
  const edit = stored !== undefined;
  const on = resolveSwitches(options, stored);
  const template = findTemplate(host, options, dot, stored);
  const settings: RecipeSettings = {
    on,
    values,
    edit,
    force: moved || options.count("e") + options.count("+") > 1,
    fill: {
      B: commandDirectory(host),
      C: code,
      D: dir,
      F: flagString(on, edit),
      H: listHost,
      L: local,
      T: dot,
      X: template.stored,
    },
  };
  const text = readTemplate(template.path);
  const warning = versionWarning(text);
  if (warning) host.stderr.write(`ezmlm-make: warning: ${template.path}: ${warning}\n`);
  warnOfName(host, dot);
  const steps = readRecipe(text, settings);
  const place: BuildPlace = { dir, dot, steps, owner: edit ? undefined : ownerOf(host, dot) };
  if (edit) changeList(place);
  else {
    await buildList(place, host.pid, async (hidden) => {
      writeFileSync(join(hidden, "key"), newKey(), { mode: 0o600, flush: true });
      // The age of the first digest counts from now; without it the first post would be one by itself.
      writeFileSync(join(hidden, "dignum"), `0:0:${unixSeconds(host.now())}\n`, { mode: 0o600 });
      await makeDatabases(host, hidden);
    });
  }
  if (edit) await makeDatabases(host, dir);
  return SUCCESS;
}

/** What ends up in addresses and file lines. */
function checkParts(
  local: string,
  host: string,
  code: string,
  values: ReadonlyMap<string, string>,
): void {
  if (/[\s\0<>"'@]/.test(local)) {
    throw new PermanentError("LOCAL must be the part of the list address before the @. (#5.3.5)");
  }
  if (/[\s\0<>"'@]/.test(host)) {
    throw new PermanentError("HOST must be the part of the list address after the @. (#5.3.5)");
  }
  if (!/^[A-Za-z0-9]*$/.test(code)) {
    throw new PermanentError("DIGESTCODE may have letters and digits only. (#5.3.5)");
  }
  for (const [letter, value] of values) {
    if (/[\n\r\0]/.test(value)) {
      throw new PermanentError(`The argument of -${letter} must not contain a line feed. (#5.3.5)`);
    }
  }
}

/** qmail-local looks for extensions in lower case and with `:` for `.`. qmail reference 4.2. */
function warnOfName(host: Host, dot: string): void {
  const [, extension = ""] = /^\.qmail(.*)$/s.exec(basename(dot)) ?? [];
  const safe = asciiLower(extension).replaceAll(".", ":");
  if (safe === extension) return;
  host.stderr.write(
    `ezmlm-make: warning: no mail comes to ${dot}, as names are looked up in lower case and with : for a dot; make DOT .qmail${safe}, LOCAL may stay as it is\n`,
  );
}

/** Files made by root go to the owner of the directory that holds DOT. */
function ownerOf(host: Host, dot: string): BuildPlace["owner"] {
  return host.uid === 0 ? ownerFor(dirname(dot), host) : undefined;
}

/** `<#B#>`: stands in command lines as it is, so nothing in it may mean anything to a shell. */
function commandDirectory(host: Host): string {
  const bin = resolve(host.cwd, host.env.EZMLM_BIN || join(host.root, "bin"));
  if (/[^\w@%+=:,./-]/.test(bin)) {
    throw new PermanentError(
      `The path ${JSON.stringify(bin)} cannot stand in command lines; set EZMLM_BIN to a plain one. (#5.3.5)`,
    );
  }
  return bin;
}

/** Path of the template, and what `<#X#>` says. */
function findTemplate(
  host: Host,
  options: ParsedOptions,
  dot: string,
  stored: StoredList | undefined,
): { path: string; stored: string } {
  if (options.flag("c")) return { path: join(dirname(dot), ".ezmlmrc"), stored: "" };
  // Root does not run a recipe that somebody else's list names.
  const remembered = host.uid === 0 ? undefined : stored?.template;
  const given = options.value("C") ?? remembered ?? "";
  if (given !== "") {
    const path = resolve(host.cwd, given);
    return { path: isDirectory(path) ? join(path, "ezmlmrc") : path, stored: path };
  }
  const site = host.env.EZMLM_ETC && resolve(host.cwd, host.env.EZMLM_ETC, "default", "ezmlmrc");
  const path = site && nameExists(site) ? site : join(host.root, "templates", "ezmlmrc");
  return { path, stored: "" };
}

function isDirectory(path: string): boolean {
  return statSync(path, { throwIfNoEntry: false })?.isDirectory() ?? false;
}

function readTemplate(path: string): string {
  try {
    return decodeText(readFileSync(path));
  } catch (error) {
    const why = `Unable to read ${path}: ${errorText(error)}.`;
    if (isErrno(error, "ENOENT", "ENOTDIR")) throw new PermanentError(`${why} (#5.3.5)`);
    throw new TemporaryError(`${why} (#4.3.0)`, { cause: error });
  }
}

/** Make what the store of the list needs. */
async function makeDatabases(host: Host, dir: string): Promise<void> {
  const list = await openList(host, dir);
  try {
    const std = list.line("subdb") === undefined && !isLocalDirectory(dir) ? "std" : undefined;
    for (const name of databases) await list.db(name, std).create();
  } finally {
    list.close();
  }
}
