/**
 * NAME         ezmlm-checksub - refuse mail by membership of SENDER
 * SYNOPSIS     ezmlm-checksub [-nN] [-m message] DIR [db]...
 * DESCRIPTION  Stands in an editor file. Refuses the mail when SENDER is in none of the databases of the
 *              list in DIR; no db, or a dot, is the main one. SENDER is looked at inside its SRS or BATV
 *              wrapper, and an entry @domain counts for everybody there.
 * OPTIONS      -n refuse when SENDER is in one of them: a block list. -N (default) the other way.
 *              -m text for the sender, instead of TXT_ONLY_SUBSCRIBERS or TXT_REJECT_POSTS.
 * ENVIRONMENT  SENDER
 * EXIT CODES   0 go on. 100 refused, with the text on standard output; or SENDER is not set. 111 temporary.
 * SECURITY     SENDER is forged easily.
 * SEE ALSO     ezmlm-issubn, ezmlm-gate, ezmlm-reject
 */
import { PermanentError } from "../../lib/errors.ts";
import { PERMANENT, SUCCESS } from "../../lib/exit-code.ts";
import { OptionTable } from "../../lib/option.ts";
import { listProgram } from "../list/list-program.ts";
import { readSender } from "../list/sender.ts";
import { versionRows } from "../list/version.ts";
import { catalogue } from "../reply/texts.ts";
import { isInAny } from "./membership.ts";

const table = new OptionTable(
  "ezmlm-checksub",
  [
    { letter: "n", help: "refuse who is there" },
    { letter: "N", help: "refuse who is not there (default)", negates: "n" },
    { letter: "m", argument: "message", help: "text for the sender" },
    ...versionRows,
  ],
  "DIR [db]...",
);

export const ezmlmChecksub = listProgram(
  table,
  async (host, list, options, names) => {
    const sender = readSender(host);
    if (sender === undefined) throw new PermanentError("SENDER is not set. (#5.3.5)");
    const blocking = options.flag("n") === true;
    if ((await isInAny(list, names, sender)) !== blocking) return SUCCESS;
    const key = blocking ? "TXT_REJECT_POSTS" : "TXT_ONLY_SUBSCRIBERS";
    const text = options.value("m") ?? catalogue(host, list, key);
    host.stdout.write(`${text}\n`);
    return PERMANENT;
  },
  { operands: Number.POSITIVE_INFINITY },
);
