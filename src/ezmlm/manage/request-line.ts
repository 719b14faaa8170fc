/**
 * Commands as people write them, in a Subject or in the first line of a body: `LOCAL-command-user=host`,
 * or `command [list[@host]] [user[@host]]`. Words have letters, digits and `. - _ +` only, so that
 * nothing else reaches an address. Reference ezmlm-programs.md, ezmlm-request.
 */
import { asciiLower, splitAddress } from "../../lib/address.ts";

export interface CommandLine {
  /** As in a command address: `subscribe`, `get.1_3`, `sc.TS.COOKIE`. */
  readonly command: string;
  /** List as written; undefined: none was named. */
  readonly list: string | undefined;
  readonly listHost: string | undefined;
  /** Address it is for; undefined: SENDER. */
  readonly user: string | undefined;
}

/** Why a line is no command: characters nobody may use, or an address of another list. */
export type LineProblem = "ERR_NOT_CLEAN" | "ERR_REQ_LOCAL";

const aliases: Readonly<Record<string, string>> = {
  sub: "subscribe",
  unsub: "unsubscribe",
  remove: "unsubscribe",
  signoff: "unsubscribe",
  ind: "index",
  rev: "list",
  review: "list",
  recipients: "list",
  who: "list",
  showdist: "list",
  system: "help",
  put: "help",
  set: "help",
};

const clean = /^[A-Za-z0-9.\-_+]+$/;

/** Read one line for the list `local`; in global mode (`local` undefined) the list is always named first. */
export function parseCommandLine(
  line: string,
  local: string | undefined,
): CommandLine | LineProblem {
  const [first = "", ...rest] = line.trim().split(/[ \t]+/);
  if (local !== undefined && asciiLower(first).startsWith(`${asciiLower(local)}-`)) {
    return wholeCommand(first.slice(local.length + 1));
  }
  // A whole address of some other list is not ours to pass on.
  if (first.includes("@") || first.includes("=")) return "ERR_REQ_LOCAL";
  if (!clean.test(first)) return "ERR_NOT_CLEAN";
  const command = aliases[asciiLower(first)] ?? asciiLower(first);
  if (command === "help") return { command, list: undefined, listHost: undefined, user: undefined };
  const numbers = rest.slice(0, 2).filter((word) => /^\d{1,9}$/.test(word));
  if (/^(get|index|thread)$/.test(command) && numbers.length > 0 && local !== undefined) {
    const range = `${command}.${numbers.join("_")}`;
    return { command: range, list: undefined, listHost: undefined, user: undefined };
  }
  const [one, two] = rest;
  const words = local !== undefined && two === undefined ? [undefined, one] : [one, two];
  for (const word of words) {
    if (word === undefined) continue;
    const { local: name, domain } = splitAddress(word);
    if (!clean.test(name) || (word.includes("@") && !clean.test(domain))) return "ERR_NOT_CLEAN";
  }
  const [list, user] = words;
  const named = list === undefined ? undefined : splitAddress(list);
  return { command, list: named?.local, listHost: named?.domain || undefined, user };
}

function wholeCommand(text: string): CommandLine | LineProblem {
  const bare = text.replace(/@.*$/s, "");
  const dash = bare.indexOf("-");
  const command = dash < 0 ? bare : bare.slice(0, dash);
  const target = dash < 0 ? "" : bare.slice(dash + 1);
  if (!clean.test(command)) return "ERR_NOT_CLEAN";
  if (target === "") return { command, list: undefined, listHost: undefined, user: undefined };
  const equals = target.lastIndexOf("=");
  const local = equals < 0 ? target : target.slice(0, equals);
  const domain = equals < 0 ? "" : target.slice(equals + 1);
  if (!/^[A-Za-z0-9.\-_+=]+$/.test(local) || (domain !== "" && !clean.test(domain))) {
    return "ERR_NOT_CLEAN";
  }
  // `digest-subscribe`: the first word was a database.
  const user = equals < 0 ? undefined : `${local}@${domain}`;
  const word = equals < 0 ? bare : command;
  return { command: word, list: undefined, listHost: undefined, user };
}

/** The first body line that begins with a letter. */
export function firstCommandLine(body: string): string {
  return (
    body
      .split("\n")
      .find((line) => /^[A-Za-z_]/.test(line))
      ?.trim() ?? ""
  );
}
