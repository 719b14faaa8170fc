/**
 * A command address taken apart: `LOCAL[-DB]-ACTION[-TLOCAL=TDOMAIN]`. Only grammar here, no rights. The
 * target ends up in envelopes and header fields, so what could be anything but one address is refused. Reference ezmlm.md 4.5.
 */
import { asciiLower, splitAddress } from "../../lib/address.ts";

export type DatabaseName = "" | "digest" | "allow" | "deny";

/** Letters of the confirmations: subscribe by subscriber, moderator, remote admin; unsubscribe likewise. */
export type CookieAction = "sc." | "tc." | "rc." | "uc." | "vc." | "wc.";

export type Command =
  | { readonly kind: "subscribe" | "unsubscribe" | "query" | "info" | "faq" }
  | { readonly kind: "help"; readonly exact: boolean }
  | { readonly kind: "list" | "listn" }
  | { readonly kind: "log"; readonly pattern: string }
  | { readonly kind: "get"; readonly argument: string }
  | { readonly kind: "edit"; readonly name: string | undefined }
  | {
      readonly kind: "edited";
      readonly date: string;
      readonly name: string;
      readonly cookie: string;
    }
  /** The link in a copy of a post (post/unsubscribe-link.ts). */
  | { readonly kind: "link"; readonly cookie: string }
  | {
      readonly kind: "confirm";
      readonly action: CookieAction;
      readonly date: string;
      readonly cookie: string;
    };

export interface ManageRequest {
  readonly db: DatabaseName;
  readonly command: Command;
  /** Address after the action; undefined: none was given. */
  readonly target: string | undefined;
}

/** What DEFAULT asks for; undefined: a database name without command (`allow@`), which is no address of ours. */
export function parseRequest(extension: string): ManageRequest | undefined {
  const match = /^(digest|allow|deny)(-?)/i.exec(extension);
  if (match && match[2] === "") return undefined;
  const db = match ? (asciiLower(match[1] ?? "") as DatabaseName) : "";
  const rest = match ? extension.slice(match[0].length) : extension;
  const dash = rest.indexOf("-");
  const action = dash < 0 ? rest : rest.slice(0, dash);
  const target = dash < 0 ? "" : rest.slice(dash + 1);
  return {
    db,
    command: parseAction(action),
    target: target === "" ? undefined : toAddress(target),
  };
}

/** `user=domain` to `user@domain`, at the last `=`. */
export function toAddress(target: string): string {
  const equals = target.lastIndexOf("=");
  return equals < 0 ? target : `${target.slice(0, equals)}@${target.slice(equals + 1)}`;
}

function parseAction(action: string): Command {
  const cookie = /^([sturvw]c\.)(\d{1,15})\.([a-p]{20})$/.exec(action);
  if (cookie) {
    const [, kind = "", date = "", letters = ""] = cookie;
    return { kind: "confirm", action: kind as CookieAction, date, cookie: letters };
  }
  // A damaged cookie is still a wish to confirm: it gets a fresh one.
  const damaged = /^([sturvw]c\.)/.exec(action)?.[1];
  if (damaged) return { kind: "confirm", action: damaged as CookieAction, date: "", cookie: "" };
  if (action.startsWith("ul.")) return { kind: "link", cookie: action.slice(3) };
  if (action.startsWith("ed.")) {
    const edited = /^ed\.(\d{1,15})\.([a-z_]{1,40})\.([a-p]{20})$/.exec(action);
    const [, date = "", name = "", letters = ""] = edited ?? [];
    return { kind: "edited", date, name: name.replaceAll("_", "-"), cookie: letters };
  }
  const lower = asciiLower(action);
  switch (lower) {
    case "subscribe":
    case "unsubscribe":
    case "list":
    case "listn":
      return { kind: lower };
    case "help":
      return { kind: "help", exact: true };
    default:
      return parsePrefixed(action, lower);
  }
}

function parsePrefixed(action: string, lower: string): Command {
  if (lower.startsWith("get")) return { kind: "get", argument: action.slice(3) };
  if (lower.startsWith("edit")) {
    const name = /^[._]?([a-z_]{1,40})$/.exec(lower.slice(4))?.[1];
    if (lower.length > 4 && name === undefined) return { kind: "edit", name: "" };
    return { kind: "edit", name: name?.replaceAll("_", "-") };
  }
  if (lower.startsWith("log"))
    return { kind: "log", pattern: action.slice(3).replace(/^[._]/, "") };
  for (const kind of ["query", "info", "faq"] as const) {
    if (lower.startsWith(kind)) return { kind };
  }
  return { kind: "help", exact: false };
}

/**
 * Whether mail may go to this address because a stranger named it: a plausible host, no control
 * characters, nothing that programs which mistake quotes could take for more than one address. A space
 * or `@` may stand inside the local part, which is quoted wherever it is written; an `@` in front means a
 * whole domain in our databases, and a space at an end gets lost in lists of lines.
 */
export function isPlainAddress(address: string): boolean {
  const { local, domain } = splitAddress(address);
  return (
    local !== "" &&
    !/^[ @]| $|[\p{Cc}\p{Zl}\p{Zp}<>()[\]\\",;:]|(?! )\s/u.test(local) &&
    /^(?:[\p{L}\p{N}\p{M}_](?:[\p{L}\p{N}\p{M}_.-]*[\p{L}\p{N}\p{M}_])?|\[[\d.]+\]|\[ipv6:[\da-f:.]+\])\.?$/iu.test(
      domain,
    ) &&
    Buffer.byteLength(address) <= 400
  );
}
