/** Options of ezmlm-manage: each has a file of the list as its default; the command line wins. */
import { OptionTable, type ParsedOptions } from "../../lib/option.ts";
import type { List } from "../list/list.ts";
import { versionRows } from "../list/version.ts";

export const manageTable = new OptionTable(
  "ezmlm-manage",
  [
    { letter: "a", help: "name each text on standard error as it is sent" },
    { letter: "A", negates: "a", help: "do not (default)" },
    { letter: "b", help: "end replies with the text bottom and a copy of the request" },
    { letter: "B", negates: "b", help: "leave them out (file omitbottom)" },
    { letter: "c", help: "serve get when ezmlm-get did not (default)" },
    { letter: "C", negates: "c", help: "refuse get" },
    { letter: "d", help: "let moderators edit texts (file modcanedit)" },
    { letter: "D", negates: "d", help: "do not" },
    { letter: "e", help: "as -d" },
    { letter: "E", negates: "e", help: "as -D" },
    { letter: "f", help: "record From lines in the Log (default)" },
    { letter: "F", negates: "f", help: "do not" },
    { letter: "l", help: "let moderators see list, listn and log (file modcanlist)" },
    { letter: "L", negates: "l", help: "do not" },
    { letter: "m", help: "on modsub lists removals need a moderator, too" },
    { letter: "M", negates: "m", help: "they do not (default)" },
    { letter: "n", help: "tell people about changes made for them (default)" },
    { letter: "N", negates: "n", help: "do not" },
    { letter: "q", help: "never inform the owner (default)" },
    { letter: "Q", negates: "q", help: "inform the owner of failed removals; -QQ of every change" },
    { letter: "s", help: "subscribing needs confirmation" },
    { letter: "S", negates: "s", help: "it does not (file nosubconfirm)" },
    { letter: "u", help: "unsubscribing needs confirmation" },
    { letter: "U", negates: "u", help: "it does not (file nounsubconfirm)" },
    ...versionRows,
  ],
  "DIR",
);

export interface ManageOptions {
  readonly announce: boolean;
  readonly bottom: boolean;
  readonly serveGet: boolean;
  readonly mayEdit: boolean;
  readonly recordFrom: boolean;
  readonly mayList: boolean;
  readonly moderatedRemoval: boolean;
  readonly notify: boolean;
  /** Whom the owner hears about: 0 nobody, 1 failed removals, 2 every change. */
  readonly ownerLevel: 0 | 1 | 2;
  readonly confirmSubscribe: boolean;
  readonly confirmUnsubscribe: boolean;
  /** Body lines of a request that replies copy. */
  readonly copyLines: number;
}

export function manageOptions(parsed: ParsedOptions, list: List): ManageOptions {
  const level = parsed.flag("q") === false ? Math.min(2, parsed.count("Q")) : 0;
  return {
    announce: parsed.flag("a") ?? false,
    bottom: parsed.flag("b") ?? !list.has("omitbottom"),
    serveGet: parsed.flag("c") ?? true,
    mayEdit: parsed.flag("d") ?? parsed.flag("e") ?? list.has("modcanedit"),
    recordFrom: parsed.flag("f") ?? true,
    mayList: parsed.flag("l") ?? list.has("modcanlist"),
    moderatedRemoval: parsed.flag("m") ?? false,
    notify: parsed.flag("n") ?? true,
    ownerLevel: level as 0 | 1 | 2,
    confirmSubscribe: parsed.flag("s") ?? !list.has("nosubconfirm"),
    confirmUnsubscribe: parsed.flag("u") ?? !list.has("nounsubconfirm"),
    copyLines: list.numberLine("copylines") ?? 0,
  };
}
