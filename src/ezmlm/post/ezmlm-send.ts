/**
 * NAME         ezmlm-send - distribute a post to the subscribers of a list
 * SYNOPSIS     ezmlm-send [-rRvV] [-H header] [-s lo_hi] DIR
 * DESCRIPTION  Reads a message and sends it to every subscriber of the list in DIR, with envelope
 *              sender LIST-return-N-@HOST-@[], so that a bounce tells message and subscriber. N is one
 *              more than the last; it stands in DIR/num. Where that was lost or set back, the list goes on
 *              behind the last message known to list.db and the archive; a message there is never written
 *              over. To begin again with 1, empty the archive and write 0:0 into num.
 *              The header gets Mailing-List, List-ID (DIR/listid), the lines of DIR/headeradd and our
 *              own Delivered-To; fields named in DIR/headerremove, or not named in DIR/headerkeep, go;
 *              of the Received fields the first stays. With DIR/prefix the Subject is marked, with
 *              DIR/replytolist answers go to the list. With DIR/rewritefrom, or when the domain of the
 *              author asks by DMARC to refuse or quarantine such mail, From becomes "NAME via LIST"
 *              and the author stands in Reply-To (Cc with DIR/replytolist).
 *              Parts of a type in DIR/mimeremove, or of none in DIR/mimekeep, are left out; with
 *              DIR/addtrailer the text `trailer` is added.
 *              With DIR/archived the message is kept in DIR/archive, with DIR/indexed its subject and
 *              author in the index there; both without prefix, trailer and rewriting.
 *              With DIR/unsubscribelink each copy has a List-Unsubscribe field of its own: mail to the
 *              address in it, whatever it says and whoever sends it, removes that subscriber. Instead of
 *              the ones in DIR/headeradd and in the post. When the file holds an https URL, the field
 *              names that too, followed by COOKIE-user=host, and List-Unsubscribe-Post stands there: on
 *              a POST whoever answers at the URL sends mail to LIST-ul.COOKIE-user=host@HOST (a GET must
 *              change nothing). Without effect where QMAILQUEUE names a program.
 *              A sublist (DIR/sublist names its parent) takes only mail that its parent sent.
 *              A delivery that is repeated posts once. To a long list two mails are queued, so that the
 *              first subscribers need not wait until all are read.
 * OPTIONS      -r  forward all Received fields. -R  only the first (default).
 *              -H header  sublist: this field proves that a list sent the message, not Mailing-List.
 *              -s lo_hi, -S lo_hi  only subscribers whose hash (0..52) is in this range.
 *              -c -C -l -L -q -Q  accepted, without effect.
 *              -v, -V  print the version.
 * ENVIRONMENT  SENDER; may be unset in a shell. DNSCACHEIP: name servers to ask instead of the system's.
 * FILES        num headeradd headerremove headerkeep prefix listid replytolist rewritefrom sublist
 *              unsubscribelink mimeremove mimekeep addtrailer text/trailer archived indexed lock list.db archive/
 * EXIT CODES   0 sent, `info: qp ID ...` on stderr. 100 refused: a bounce, a loop, mail of another list,
 *              not from the parent, no part left. 111 temporary.
 * DIAGNOSTICS  warning: DIR/num did not count message N, and does now  it was lost, set back, or a crash
 *              came between. fatal: DIR/num is damaged  posts wait until somebody writes the number of
 *              the last message into it.
 * STANDARDS    RFC 2045, RFC 2046 (parts), RFC 2047 (encoded words), RFC 2369 and RFC 8058
 *              (List-Unsubscribe), RFC 9989 (DMARC)
 * BUGS         The button of mail programs needs a DKIM signature that covers both fields; nothing here
 *              signs, so sign on the way out.
 * SEE ALSO     ezmlm-store, ezmlm-reject, ezmlm-return, ezmlm-make
 */
import { asciiLower, isBounceSender, splitAddress } from "../../lib/address.ts";
import { PermanentError } from "../../lib/errors.ts";
import { SUCCESS } from "../../lib/exit-code.ts";
import { fieldKey, type HeaderField } from "../../lib/header.ts";
import { OptionTable, type ParsedOptions } from "../../lib/option.ts";
import type { Host } from "../../lib/program.ts";
import type { List } from "../list/list.ts";
import { listProgram } from "../list/list-program.ts";
import { readSender } from "../list/sender.ts";
import { versionRows } from "../list/version.ts";
import { catalogue } from "../reply/texts.ts";
import type { HashRange } from "../subscribers/subdb.ts";
import { systemTxt } from "./dmarc.ts";
import { readIncoming } from "./incoming.ts";
import { ownDeliveredTo } from "./outgoing-header.ts";
import { mustRewriteFrom, readPostRules } from "./post-rules.ts";
import { sendPost } from "./send-post.ts";
import { linkPrefix } from "./unsubscribe-link.ts";

const ignored = (letter: string) => ({ letter, help: "no effect", ignored: true });

const options = new OptionTable(
  "ezmlm-send",
  [
    { letter: "r", help: "forward all Received fields" },
    { letter: "R", help: "forward only the first Received field", negates: "r" },
    { letter: "H", argument: "header", help: "field that proves the parent list" },
    { letter: "s", argument: "lo_hi", help: "subscribers with these hashes only" },
    { letter: "S", argument: "lo_hi", help: "the same" },
    ..."cClLqQ".split("").map(ignored),
    ...versionRows,
  ],
  "DIR",
);

export const ezmlmSend = listProgram(
  options,
  async (host, list, parsed) => {
    await send(host, list, parsed);
    return SUCCESS;
  },
  { check: hashRange },
);

async function send(host: Host, list: List, parsed: ParsedOptions): Promise<void> {
  const sender = readSender(host);
  if (sender !== undefined && isBounceSender(sender)) {
    throw new PermanentError(catalogue(host, list, sender === "" ? "ERR_ANONYMOUS" : "ERR_BOUNCE"));
  }
  const parent = list.line("sublist");
  if (parent !== undefined && sender !== undefined) checkParent(host, list, parent, sender);
  const message = await readIncoming(host.stdin);
  try {
    checkLoop(host, list, message.fields, parent !== undefined, parsed.value("H"));
    const rewriteFrom = await mustRewriteFrom(
      list,
      message.fields,
      systemTxt(host.env.DNSCACHEIP),
      (text) => host.stderr.write(`ezmlm-send: warning: ${text}\n`),
    );
    const prefix = linkPrefix(host, list);
    const rules = readPostRules(host, list, message.fields, {
      allReceived: parsed.flag("r") ?? false,
      isSublist: parent !== undefined,
      rewriteFrom,
      hasLinks: prefix !== undefined,
    });
    const parentNumber = list.has("archived") ? undefined : numberOfParent(parent, sender);
    const range = hashRange(parsed);
    const ids = await sendPost(host, list, {
      message,
      sender: sender ?? "",
      rules,
      ...(range ? { range } : {}),
      ...(prefix === undefined ? {} : { prefix }),
      ...(parentNumber === undefined ? {} : { parentNumber }),
    });
    host.stderr.write(
      ids.length > 0
        ? `ezmlm-send: info: qp ${ids.join(" ")}\n`
        : "ezmlm-send: info: nobody is subscribed, nothing queued\n",
    );
  } finally {
    await message.close();
  }
}

/** `lo`, `lo_hi` with any single separator; 0..52. */
function hashRange(parsed: ParsedOptions): HashRange | undefined {
  const text = parsed.value("S") ?? parsed.value("s");
  if (text === undefined) return undefined;
  const match = /^(\d+)(?:\D(\d+)?)?$/.exec(text);
  if (!match) throw options.error();
  const low = Number(match[1]);
  const high = Math.min(52, match[2] === undefined ? 52 : Number(match[2]));
  if (low > high) throw options.error();
  return { low, high };
}

/** The parent's envelope sender begins with its local part and ends with its host. */
function checkParent(host: Host, list: List, parent: string, sender: string): void {
  const own = splitAddress(parent);
  const { local, domain } = splitAddress(sender);
  const isParent =
    (local === own.local || local.startsWith(`${own.local}-`)) &&
    asciiLower(domain) === asciiLower(own.domain);
  if (!isParent) throw new PermanentError(catalogue(host, list, "ERR_NOT_PARENT"));
}

/** N of `PARENT-return-N-…`: so that a bounce of ours names the message the parent knows. */
function numberOfParent(
  parent: string | undefined,
  sender: string | undefined,
): number | undefined {
  if (parent === undefined || sender === undefined) return undefined;
  const lead = `${splitAddress(parent).local}-return-`;
  const digits = sender.startsWith(lead) ? /^\d{1,15}/.exec(sender.slice(lead.length)) : undefined;
  return digits ? Number(digits[0]) : undefined;
}

function checkLoop(
  host: Host,
  list: List,
  fields: readonly HeaderField[],
  isSublist: boolean,
  proof: string | undefined,
): void {
  const own = ownDeliveredTo("mailing list", list.address).raw;
  if (fields.some((field) => field.raw === own)) {
    throw new PermanentError(catalogue(host, list, "ERR_LOOPING"));
  }
  const key = asciiLower(
    (isSublist ? proof : undefined)?.split(":", 1)[0]?.trim() ?? "mailing-list",
  );
  const isFromList = fields.some((field) => fieldKey(field) === key);
  if (isFromList === isSublist) return;
  throw new PermanentError(catalogue(host, list, isSublist ? "ERR_SUBLIST" : "ERR_MAILING_LIST"));
}
