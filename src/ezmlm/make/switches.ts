/**
 * Switches and arguments of ezmlm-make: the option table, what an existing list says, and what holds
 * in the end. Reference ezmlm-files.md 3.
 */
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { isErrno } from "../../lib/errors.ts";
import { type OptionRow, OptionTable, type ParsedOptions } from "../../lib/option.ts";
import { flagFiles, parseConfig, parseFlagString } from "../list/flags.ts";
import { decodeText } from "../list/value-file.ts";

const meanings: Readonly<Record<string, string>> = {
  a: "keep an archive and its index (default)",
  b: "archive for moderators only",
  c: "take .ezmlmrc in the directory of DOT as template",
  d: "digests",
  e: "change an existing list; switches not given go back to their defaults; twice: overwrite all files",
  f: "subject prefix [LOCAL]",
  g: "archive for subscribers only",
  h: "no confirmation of subscriptions",
  i: "index of threads and authors",
  j: "no confirmation of unsubscriptions",
  k: "block list (always on)",
  l: "moderators may list subscribers",
  m: "moderate posts",
  n: "moderators may edit texts",
  o: "only moderators may post, with -m",
  p: "public: answer commands of everybody (default)",
  q: "serve LOCAL-request (always on)",
  r: "remote administration",
  s: "moderate subscriptions",
  t: "add a trailer to posts",
  u: "only subscribers may post; with -m others are moderated",
  w: "no warnings about bounces",
  x: "remove MIME parts that are no text, limit the size",
  y: "confirm posts",
  z: "free for templates",
};

const argumentRows: readonly OptionRow[] = [
  { letter: "0", argument: "list@host", help: "make a sublist of this list" },
  { letter: "3", argument: "address", help: "replacement for the From field of posts" },
  {
    letter: "4",
    argument: "options",
    help: "kept for old templates; the stock template ignores it",
  },
  { letter: "5", argument: "address", help: "where mail for the owner goes; else DIR/Mailbox" },
  { letter: "6", argument: "store", help: "where subscribers are kept: std for hashed files" },
  { letter: "7", argument: "db", help: "database of those who moderate posts" },
  { letter: "8", argument: "db", help: "database of those who moderate subscriptions" },
  { letter: "9", argument: "db", help: "database of remote administrators" },
];

const switchRows = Object.entries(meanings).flatMap(([letter, help]): OptionRow[] => {
  const on = { letter, help };
  if (letter === "c") return [on];
  return [on, { letter: letter.toUpperCase(), help: "off", negates: letter }];
});

export const makeOptions = new OptionTable(
  "ezmlm-make",
  [
    { letter: "+", help: "as -e, but switches not given stay as they are" },
    { letter: "v", help: "print the version" },
    { letter: "V", help: "print the version" },
    ...switchRows,
    {
      letter: "C",
      argument: "file",
      help: "template or directory that holds ezmlmrc; '' for ours",
    },
    ...argumentRows,
  ],
  "DIR [DOT LOCAL HOST [DIGESTCODE]]",
);

/** What an existing list says about itself. */
export interface StoredList {
  readonly on: ReadonlySet<string>;
  /** Arguments `0`, `3`..`9`. */
  readonly values: ReadonlyMap<string, string>;
  readonly dot: string | undefined;
  readonly local: string | undefined;
  readonly host: string | undefined;
  readonly code: string | undefined;
  readonly template: string | undefined;
  /** Where it was found: the legacy `config` file gives arguments only to `-+`. */
  readonly source: "flags" | "config" | "files";
}

const valueFiles: Readonly<Record<string, string>> = {
  0: "sublist",
  3: "fromheader",
  4: "tstdigopts",
  5: "owner",
  6: "subdb",
  7: "modpost",
  8: "modsub",
  9: "remote",
};

/** Look at `flags`, else `config`, else at the files themselves. */
export function readStored(dir: string): StoredList {
  const flags = read(join(dir, "flags"));
  const config = flags === undefined ? read(join(dir, "config")) : undefined;
  if (config !== undefined) return fromConfig(parseConfig(config));
  const line = (name: string): string | undefined =>
    read(join(dir, name))
      ?.split("\n")
      .map((text) => text.trim())
      .find((text) => text !== "" && !text.startsWith("#"));
  const values = new Map<string, string>();
  for (const [letter, name] of Object.entries(valueFiles)) {
    const value = line(name);
    if (value !== undefined) values.set(letter, value);
  }
  const sql = line("sql");
  if (!values.has("6") && sql !== undefined) values.set("6", `sql:${sql}`);
  const probed = Object.entries(flagFiles).filter(([, name]) => existsSync(join(dir, name)));
  return {
    on: flags === undefined ? new Set(probed.map(([letter]) => letter)) : lettersOn(flags),
    values,
    dot: line("dot"),
    local: line("outlocal"),
    host: line("outhost"),
    code: line("digestcode"),
    template: line("ezmlmrc"),
    source: flags === undefined ? "files" : "flags",
  };
}

function fromConfig(config: ReadonlyMap<string, string>): StoredList {
  const given = (key: string): string | undefined => config.get(key) || undefined;
  const values = [...config].filter(([key, value]) => /[03-9]/.test(key) && value !== "");
  return {
    on: lettersOn(config.get("F") ?? ""),
    values: new Map(values),
    dot: given("T"),
    local: given("L"),
    host: given("H"),
    code: given("C"),
    template: given("X"),
    source: "config",
  };
}

function lettersOn(flags: string): Set<string> {
  return new Set([...parseFlagString(flags)].filter(([, on]) => on).map(([letter]) => letter));
}

function read(path: string): string | undefined {
  try {
    return decodeText(readFileSync(path));
  } catch (error) {
    if (isErrno(error, "ENOENT")) return undefined;
    throw error;
  }
}

const always = new Set(["k", "q"]);
const defaults = new Set(["a", "p"]);

/** Letters that are on in the end. `stored` is given when a list is changed. */
export function resolveSwitches(options: ParsedOptions, stored?: StoredList): Set<string> {
  const sticky = options.count("+") > 0;
  const on = new Set<string>();
  for (const letter of Object.keys(meanings)) {
    if (letter === "c" || letter === "e") continue;
    const before = sticky && stored ? stored.on.has(letter) : defaults.has(letter);
    if (always.has(letter) || (options.flag(letter) ?? before)) on.add(letter);
  }
  return on;
}

/** Arguments that hold in the end, empty ones left out; `1` and `2` come from the name of DOT. */
export function resolveValues(
  options: ParsedOptions,
  dot: string,
  stored?: StoredList,
): Map<string, string> {
  const reuse = stored && (stored.source !== "config" || options.count("+") > 0);
  const values = new Map<string, string>(reuse ? stored.values : []);
  for (const { letter } of argumentRows) {
    const given = options.value(letter);
    if (given !== undefined) values.set(letter, given);
    if (values.get(letter) === "") values.delete(letter);
  }
  const parts = dot.slice(dot.lastIndexOf("/") + 1).split("-");
  if (parts[1]) values.set("1", parts[1]);
  if (parts[2]) values.set("2", parts[2]);
  return values;
}

/** All 26 letters in the form of the old `flags` file: `-aBC…`. */
export function flagString(on: ReadonlySet<string>, edit: boolean): string {
  const letters = "abcdefghijklmnopqrstuvwxyz".split("");
  const state = (letter: string): boolean => (letter === "e" ? edit : on.has(letter));
  return `-${letters.map((letter) => (state(letter) ? letter : letter.toUpperCase())).join("")}`;
}
