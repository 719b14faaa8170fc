/**
 * NAME         ezmlm-manage - answer requests sent to a list
 * SYNOPSIS     ezmlm-manage [-aAbBcCdDeEfFlLmMnNqQsSuUvV] DIR
 * DESCRIPTION  Stands in DIR/manager, after ezmlm-get, ezmlm-split and
 *              ezmlm-request. Reads a message sent to LOCAL-COMMAND@HOST,
 *              takes the command from DEFAULT and answers by mail. Commands:
 *              subscribe, unsubscribe, query, info, faq, help; for moderators
 *              list, listn, log, edit. COMMAND-user=domain acts for another
 *              address. digest-, allow- and deny- before the command choose
 *              that database. Nobody is added or removed without a
 *              confirmation from the address or from a moderator, unless
 *              the list says so, or the request came to the address in
 *              List-Unsubscribe of a copy (DIR/unsubscribelink). Anything else brings the help text.
 * OPTIONS      -a, -A  name texts on standard error as they are sent, or not
 *              -b, -B  end replies with the text bottom and a copy of the
 *                      request, or not (file omitbottom)
 *              -c, -C  serve or refuse get where ezmlm-get does not
 *              -d, -e, -D, -E  moderators may edit texts or not (modcanedit)
 *              -f, -F  record From lines in the Log or not
 *              -l, -L  moderators may use list, listn, log (modcanlist)
 *              -m, -M  removals on modsub lists need a moderator or not
 *              -n, -N  tell people about changes made for them or not
 *              -q, -Q  owner hears nothing, or of failed removals;
 *                      -QQ of every change
 *              -s, -S  subscribing needs confirmation or not (nosubconfirm)
 *              -u, -U  the same for unsubscribing (nounsubconfirm)
 *              -v, -V  print the version
 * ENVIRONMENT  SENDER, DEFAULT
 * FILES        DIR/public, DIR/modsub, DIR/remote, DIR/copylines, DIR/from,
 *              DIR/text/NAME, the subscriber databases
 * EXIT CODES   0 answered. 100 refused: a bounce, a loop, mail of a list, a
 *              closed list, somebody who may not. 111 try again.
 * DIAGNOSTICS  ezmlm-manage: info: qp N for each mail queued.
 * SECURITY     Mail goes only to addresses that could be one address. Secrets
 *              go to the address recorded for the moderator. Requests are
 *              read to a limit.
 * STANDARDS    RFC 3834 (automatic responses)
 * BUGS         One run answers with one mail, also when -QQ adds the owner.
 * SEE ALSO     ezmlm-get, ezmlm-request, ezmlm-split, ezmlm-weed, ezmlm-sub
 */
import { asciiLower } from "../../lib/address.ts";
import { PermanentError } from "../../lib/errors.ts";
import type { ExitCode } from "../../lib/exit-code.ts";
import { findField } from "../../lib/header.ts";
import type { Host } from "../../lib/program.ts";
import type { List } from "../list/list.ts";
import { listProgram } from "../list/list-program.ts";
import { requireSender } from "../list/sender.ts";
import { readHead } from "../reply/message-head.ts";
import { catalogue } from "../reply/texts.ts";
import { responder } from "./answer.ts";
import { isRemoteAdmin, type ManageContext, seconds } from "./context.ts";
import { sendText, takeText } from "./edit-text.ts";
import { getMessage } from "./get-message.ts";
import { findModerator } from "./moderators.ts";
import { manageOptions, manageTable } from "./options.ts";
import { help, query, tell } from "./query.ts";
import { isPlainAddress, type ManageRequest, parseRequest } from "./request.ts";
import { sendList, sendLog } from "./roster.ts";
import { confirmSubscribe, subscribe } from "./subscribe.ts";
import { confirmUnsubscribe, isRightLink, unsubscribe, unsubscribeByLink } from "./unsubscribe.ts";

export const ezmlmManage = listProgram(manageTable, async (host, list, parsed) => {
  const sender = requireSender(host);
  const extension = host.env.DEFAULT;
  if (extension === undefined) throw refusal(host, list, "ERR_NODEFAULT");
  const request = parseRequest(extension);
  if (!request) throw refusal(host, list, "ERR_BAD_ADDRESS");
  // Help goes to SENDER, whatever stands behind a command nobody knows.
  const target = request.command.kind === "help" ? sender : (request.target ?? sender);
  if (!isPlainAddress(target) || !isPlainAddress(sender)) {
    throw refusal(host, list, "ERR_BAD_ADDRESS");
  }
  const context: ManageContext = {
    host,
    list,
    options: manageOptions(parsed, list),
    sender,
    target,
    dbName: request.db,
    db: list.db(request.db),
    moderator: await findModerator(list, whoCounts(request, sender, target)),
    head: await readHead(host.stdin),
    now: seconds(host),
  };
  requirePermission(context, request);
  refuseLoops(context);
  return await act(context, request);
});

function act(context: ManageContext, request: ManageRequest): Promise<ExitCode> {
  const { command } = request;
  switch (command.kind) {
    case "subscribe":
      return subscribe(context);
    case "unsubscribe":
      return unsubscribe(context);
    case "confirm":
      return "str".includes(command.action.charAt(0))
        ? confirmSubscribe(context, command)
        : confirmUnsubscribe(context, command);
    case "link":
      return unsubscribeByLink(context, command.cookie);
    case "query":
      return query(context);
    case "info":
    case "faq":
      return tell(context, command.kind);
    case "list":
    case "listn":
      return sendList(context, command.kind === "list");
    case "log":
      return sendLog(context, command.pattern);
    case "edit":
      return sendText(context, command.name);
    case "edited":
      return takeText(context, command);
    case "get":
      return getMessage(context, command.argument);
    case "help":
      return help(context, command.exact);
  }
}

/**
 * Whose rights count. Answers to get, help, list, log and edit go to the target, so a moderator as target
 * is enough; what changes something, and everything about `deny`, needs the moderator as SENDER.
 */
function whoCounts(request: ManageRequest, sender: string, target: string): string {
  const toTarget = ["get", "help", "list", "listn", "log", "edit"].includes(request.command.kind);
  return toTarget && request.db !== "deny" ? target : sender;
}

function requirePermission(context: ManageContext, request: ManageRequest): void {
  const { host, list } = context;
  const { command } = request;
  const isAdmin = isRemoteAdmin(context);
  if (request.db === "deny" && !isAdmin) throw refusal(host, list, "ERR_NOT_ALLOWED");
  const isExactHelp = command.kind === "help" && command.exact;
  const isLink = command.kind === "link" && isRightLink(context, command.cookie);
  if (!list.has("public") && !isAdmin && !isExactHelp && !isLink)
    throw refusal(host, list, "ERR_NOT_PUBLIC");
}

/** Mail of lists is never answered, nor what we sent ourselves. */
function refuseLoops(context: ManageContext): void {
  const { host, list, head, dbName, target, db } = context;
  if (findField(head.fields, "Mailing-List")) throw refusal(host, list, "ERR_MAILING_LIST");
  const own = `Delivered-To: ${responder(list, dbName)}`;
  if (head.fields.some((field) => field.raw === Buffer.from(own).toString("latin1"))) {
    throw refusal(host, list, "ERR_LOOPING");
  }
  // A list that is its own subscriber would send every post to itself.
  if (db.name !== "deny" && asciiLower(target) === asciiLower(list.address)) {
    throw refusal(host, list, "ERR_BAD_ADDRESS");
  }
}

function refusal(host: Host, list: List, key: string): PermanentError {
  return new PermanentError(catalogue(host, list, key));
}
