/**
 * NAME         ezmlm-store - queue a post for moderation or for its sender's confirmation
 * SYNOPSIS     ezmlm-store [-bBcCmMpPrRsSvVyY] DIR
 * DESCRIPTION  Reads a post. With DIR/modpost it is kept in DIR/mod/pending and the moderators are
 *              asked: an answer to the mail they get accepts the post, an answer to its From address
 *              rejects it. A moderator's own post is sent to that moderator alone; where nobody is a
 *              moderator the owner is asked. With DIR/confirmpost it is kept in DIR/mod/unconfirmed
 *              and its sender is asked first. With neither it goes to ezmlm-send.
 *              On a list with DIR/remote the moderators' mail has a Cc address that also puts the
 *              sender into the `allow` database: reply to all.
 *              A delivery that is repeated asks once.
 * OPTIONS      -y  ask the sender first. -Y  do not, even with DIR/confirmpost.
 *              -p  anybody may post. -P  only moderators (default with DIR/modpostonly).
 *              -s  people in the database named in DIR/modpost accept their own posts, all others'
 *                  posts go to the moderators in `mod`. -S  one database for both (default).
 *              -b  enclose the whole post (default). -B  only its header.
 *              -m  enclose it as a MIME part (default). -M  append it.
 *              -c -C -r -R  given to ezmlm-send.
 *              -v, -V  print the version.
 * ENVIRONMENT  SENDER (required).
 * FILES        modpost modpostonly confirmpost remote text/mod-request text/post-confirm mod/pending
 *              mod/unconfirmed mod/lock list.db
 * EXIT CODES   0 queued. 100 refused: a bounce, a loop, mail of a list, not a moderator. 111 temporary.
 * SEE ALSO     ezmlm-moderate, ezmlm-confirm, ezmlm-clean, ezmlm-gate, ezmlm-send
 */
import { isBounceSender } from "../../lib/address.ts";
import { unixSeconds } from "../../lib/date822.ts";
import { deriveHost } from "../../lib/derive-host.ts";
import { PermanentError } from "../../lib/errors.ts";
import { type ExitCode, SUCCESS } from "../../lib/exit-code.ts";
import { fieldKey } from "../../lib/header.ts";
import { OptionTable, type ParsedOptions } from "../../lib/option.ts";
import { type Host, runProgram } from "../../lib/program.ts";
import type { List } from "../list/list.ts";
import { listProgram } from "../list/list-program.ts";
import { readSender } from "../list/sender.ts";
import { versionRows } from "../list/version.ts";
import { catalogue } from "../reply/texts.ts";
import { ezmlmSend } from "./ezmlm-send.ts";
import { type IncomingMessage, readIncoming } from "./incoming.ts";
import { askModerators, askSender, type WaitingRequest } from "./moderation-mail.ts";
import { ownDeliveredTo } from "./outgoing-header.ts";
import { sendOptions } from "./passed-options.ts";
import { decision, freeName, isWaiting, removeWaiting, storeWaiting } from "./waiting-room.ts";

const options = new OptionTable(
  "ezmlm-store",
  [
    { letter: "b", help: "enclose the whole post (default)" },
    { letter: "B", help: "enclose its header only", negates: "b" },
    { letter: "c", help: "given to ezmlm-send" },
    { letter: "C", help: "given to ezmlm-send", negates: "c" },
    { letter: "m", help: "enclose as a MIME part (default)" },
    { letter: "M", help: "append plainly", negates: "m" },
    { letter: "p", help: "anybody may post" },
    { letter: "P", help: "only moderators may post", negates: "p" },
    { letter: "r", help: "given to ezmlm-send" },
    { letter: "R", help: "given to ezmlm-send", negates: "r" },
    { letter: "s", help: "moderators accept their own posts" },
    { letter: "S", help: "one database for both (default)", negates: "s" },
    { letter: "y", help: "ask the sender to confirm" },
    { letter: "Y", help: "do not", negates: "y" },
    ...versionRows,
  ],
  "DIR",
);

export const ezmlmStore = listProgram(options, async (host, list, parsed) => {
  const confirm = parsed.flag("y") ?? list.has("confirmpost");
  if (confirm || list.has("modpost")) return await store(host, list, parsed, confirm);
  const args = [...sendOptions(parsed), list.dirArgument];
  return () => runProgram(ezmlmSend, deriveHost(host, { args }));
});

async function store(
  host: Host,
  list: List,
  parsed: ParsedOptions,
  confirm: boolean,
): Promise<ExitCode> {
  const sender = readSender(host);
  if (sender === undefined) throw new PermanentError("SENDER is not set. (#5.3.5)");
  if (isBounceSender(sender)) {
    throw new PermanentError(catalogue(host, list, sender === "" ? "ERR_ANONYMOUS" : "ERR_BOUNCE"));
  }
  const own = list.line("modpost") ?? "mod";
  const moderator = await list.db(own).has(sender);
  const onlyModerators = !(parsed.flag("p") ?? !list.has("modpostonly"));
  if (onlyModerators && moderator === undefined) {
    throw new PermanentError(catalogue(host, list, "ERR_NO_POST"));
  }
  const message = await readIncoming(host.stdin);
  try {
    const mark = ownDeliveredTo(confirm ? "confirm to" : "moderator for", list.address);
    if (message.fields.some((field) => field.raw === mark.raw)) {
      throw new PermanentError(catalogue(host, list, "ERR_LOOPING"));
    }
    if (message.fields.some((field) => fieldKey(field) === "mailing-list")) {
      throw new PermanentError(catalogue(host, list, "ERR_MAILING_LIST"));
    }
    const room = confirm ? "unconfirmed" : "pending";
    await list.withLock("mod/lock", async () => {
      const name = await keep(host, list, room, { sender, mark, message });
      if (name === undefined) return;
      const request: WaitingRequest = {
        name,
        sender,
        path: list.path("mod", room, name),
        headerOnly: parsed.flag("b") === false,
        multipart: parsed.flag("m") !== false,
      };
      // An entry `@domain` makes everybody there a moderator, and names nobody.
      const self = moderator?.startsWith("@") ? sender : moderator;
      const asking = confirm
        ? askSender(host, list, request)
        : askModerators(host, list, request, {
            moderator: self,
            database: parsed.flag("s") ? "mod" : own,
          });
      const receipt = await asking.catch((error: unknown) => {
        // Nobody was asked, and nobody will be: the post bounces, or whoever ran us tries anew.
        if (error instanceof PermanentError || host.deliveryKey === undefined) {
          removeWaiting(list, room, name);
        }
        throw error;
      });
      remember(host, list, name, true);
      host.stderr.write(`ezmlm-store: info: qp ${receipt.id}\n`);
    });
  } finally {
    await message.close();
  }
  return SUCCESS;
}

/** The name under which the post waits; undefined when an earlier run of this delivery did it all. */
async function keep(
  host: Host,
  list: List,
  room: "pending" | "unconfirmed",
  post: Parameters<typeof storeWaiting>[3] & { message: IncomingMessage },
): Promise<string | undefined> {
  const key = host.deliveryKey;
  const before = key === undefined ? undefined : list.store.waitingPost(key);
  if (before) {
    const decisions = [
      decision(list, "accepted", before.name),
      decision(list, "rejected", before.name),
    ];
    // Who decided was asked, whatever the crash kept us from noting.
    if (before.asked || decisions.some((each) => each !== undefined)) return undefined;
    if (isWaiting(list, room, before.name)) return before.name;
  }
  const name = before?.name ?? freeName(list, unixSeconds(host.now()), host.pid);
  // The name first: a crash in between must not leave a post that nobody was asked about.
  remember(host, list, name, false);
  await storeWaiting(list, room, name, post);
  return name;
}

function remember(host: Host, list: List, name: string, asked: boolean): void {
  if (host.deliveryKey === undefined) return;
  list.store.noteWaitingPost(host.deliveryKey, { name, asked }, unixSeconds(host.now()));
}
