/**
 * NAME         ezmlm-request - take commands from Subject and body
 * SYNOPSIS     ezmlm-request [-FvV] [-f config] DIR
 * DESCRIPTION  Stands in DIR/manager. Mail to LOCAL-request@HOST has its
 *              command in the Subject, else in the first line of the body:
 *              `command [user@host]`, or a whole command address. It is sent
 *              on to LOCAL-command-user=host@HOST, where ezmlm-manage answers.
 *              Many words other list managers use are understood: sub, unsub,
 *              remove, signoff, who, review.
 *              With -f it serves all lists of a configuration file at one
 *              address; `command list user`. lists, which and help it answers
 *              itself.
 * OPTIONS      -f config  lines list@host:dir:description; -F  none (default)
 *              -v, -V  print the version
 * ENVIRONMENT  SENDER, DEFAULT; with -f LOCAL
 * FILES        headerkeep headerremove text/help
 * EXIT CODES   0 not for us. 99 sent on or answered, or silently dropped. 100
 *              refused. 111 try again.
 * SECURITY     Words have letters, digits and . - _ + only.
 * SEE ALSO     ezmlm-manage
 */
import { readFileSync } from "node:fs";
import { resolve } from "node:path";
import { asciiLower, isBounceSender, quoteAddress } from "../../lib/address.ts";
import { errorText, PermanentError, TemporaryError } from "../../lib/errors.ts";
import { type ExitCode, STOP, SUCCESS } from "../../lib/exit-code.ts";
import { fieldKey, fieldText, findField, headerBytes, makeField } from "../../lib/header.ts";
import { readMailText } from "../../lib/mail-text.ts";
import { decodeWords } from "../../lib/mime-word.ts";
import { OptionTable } from "../../lib/option.ts";
import type { Host } from "../../lib/program.ts";
import { handIn } from "../../lib/queue-door.ts";
import { type List, openList } from "../list/list.ts";
import { listProgram } from "../list/list-program.ts";
import { readSender } from "../list/sender.ts";
import { versionRows } from "../list/version.ts";
import { dateAndId, returnAddress, sendReply, subjectField } from "../reply/compose.ts";
import { type MessageHead, readHead } from "../reply/message-head.ts";
import { commandAddress, targetPart } from "../reply/reply-list.ts";
import { catalogue, renderText } from "../reply/texts.ts";
import { findServed, parseListConfig, type ServedList } from "./list-config.ts";
import { isPlainAddress } from "./request.ts";
import { type CommandLine, firstCommandLine, parseCommandLine } from "./request-line.ts";

const table = new OptionTable(
  "ezmlm-request",
  [
    { letter: "f", argument: "config", help: "serve all lists of this file" },
    { letter: "F", help: "serve this list (default)" },
    ...versionRows,
  ],
  "DIR",
);

export const ezmlmRequest = listProgram(table, async (host, list, parsed) => {
  const config = parsed.flag("F") ? undefined : parsed.value("f");
  return config === undefined
    ? await serveList(host, list)
    : await serveAll(host, list, readConfig(resolve(list.dir, config)));
});

function readConfig(path: string): ServedList[] {
  try {
    return parseListConfig(readFileSync(path, "utf8"));
  } catch (error) {
    throw new TemporaryError(`Unable to read ${path}: ${errorText(error)}. (#4.3.0)`, {
      cause: error,
    });
  }
}

/** SENDER, or undefined after a line on stderr: nobody to answer. */
function answerable(host: Host, list: List): string | undefined {
  const sender = readSender(host);
  if (sender !== undefined && !isBounceSender(sender) && isPlainAddress(sender)) return sender;
  host.stderr.write(`ezmlm-request: info: ${catalogue(host, list, "ERR_ANONYMOUS")}\n`);
  return undefined;
}

function refuseLoops(host: Host, list: List, head: MessageHead): void {
  const own = Buffer.from(deliveredTo(list)).toString("latin1");
  if (findField(head.fields, "Mailing-List")) throw refusal(host, list, "ERR_MAILING_LIST");
  if (head.fields.some((field) => field.raw === own)) throw refusal(host, list, "ERR_LOOPING");
}

function deliveredTo(list: List): string {
  return `Delivered-To: request processor for ${list.address}`;
}

async function serveList(host: Host, list: List): Promise<ExitCode> {
  const { DEFAULT } = host.env;
  if (DEFAULT === undefined) throw refusal(host, list, "ERR_NODEFAULT");
  const match = /^request(?:-(.*))?$/is.exec(DEFAULT);
  if (!match) return SUCCESS;
  const sender = answerable(host, list);
  if (sender === undefined) return STOP;
  const head = await readHead(host.stdin);
  refuseLoops(host, list, head);
  const line =
    match[1] !== undefined && match[1] !== ""
      ? `${list.local}-${match[1]}`
      : ((await subjectLine(head)) ?? (await bodyLine(head)));
  const parsed = parseCommandLine(line === "" ? "help" : line, list.local);
  if (typeof parsed === "string") throw refusal(host, list, parsed);
  if (parsed.list !== undefined && asciiLower(parsed.list) !== asciiLower(list.local)) {
    throw refusal(host, list, "ERR_REQ_LISTNAME");
  }
  const command = parsed.command === "lists" ? "help" : parsed.command;
  return passOn(host, list, head, sender, { ...parsed, command }, list);
}

/** A Subject that begins like a command; undefined: look into the body. */
async function subjectLine(head: MessageHead): Promise<string | undefined> {
  const field = findField(head.fields, "Subject");
  const text = field
    ? decodeWords(fieldText(field))
        .replace(/^(?:re:\s*)+/i, "")
        .trim()
    : "";
  return /^[A-Za-z_]/.test(text) ? text : undefined;
}

async function bodyLine(head: MessageHead): Promise<string> {
  const message = Buffer.concat([head.headerBytes, Buffer.from("\n"), head.body]);
  return firstCommandLine(await readMailText(message));
}

/** Send the request on, with SENDER kept, to the address that means the command. */
async function passOn(
  host: Host,
  list: List,
  head: MessageHead,
  sender: string,
  line: CommandLine,
  target: { readonly local: string; readonly host: string },
): Promise<ExitCode> {
  const user = line.user ?? sender;
  const whole = user.includes("@") ? user : `${user}@${target.host}`;
  if (!isPlainAddress(whole)) throw refusal(host, list, "ERR_BAD_ADDRESS");
  const command = line.command === "help" ? "help" : `${line.command}-${targetPart(whole)}`;
  const receipt = await handIn(host.queue, { key: "answer" }, (out) => {
    out.put(`${deliveredTo(list)}\n`);
    out.put(headerBytes(head.fields.filter(keptField(list))));
    out.put("\n");
    out.put(head.body);
    out.from(sender);
    out.to(commandAddress(target, command));
  });
  host.stderr.write(`ezmlm-request: info: qp ${receipt.id}\n`);
  return STOP;
}

function keptField(list: List) {
  const names = (lines: string[] | undefined) =>
    lines && new Set(lines.map((line) => asciiLower(line.replace(/:.*$/s, "").trim())));
  const keep = names(list.lines("headerkeep"));
  const remove = names(list.lines("headerremove"));
  return (field: { name: string; raw: string }): boolean =>
    keep ? keep.has(fieldKey(field)) : !remove?.has(fieldKey(field));
}

async function serveAll(host: Host, list: List, lists: readonly ServedList[]): Promise<ExitCode> {
  const { DEFAULT = "", LOCAL = "" } = host.env;
  if (/^return/i.test(DEFAULT) || (DEFAULT === "" && LOCAL.endsWith("-return-"))) return SUCCESS;
  const sender = answerable(host, list);
  if (sender === undefined) return STOP;
  const head = await readHead(host.stdin);
  refuseLoops(host, list, head);
  const line = DEFAULT !== "" ? DEFAULT.replace(/-.*$/s, "") : await bodyLine(head);
  const parsed = parseCommandLine(line === "" ? "help" : line, undefined);
  if (typeof parsed === "string") throw refusal(host, list, parsed);
  switch (parsed.command) {
    case "lists":
      return reply(host, list, sender, describe(lists), false);
    case "list":
      if (parsed.list === undefined) return reply(host, list, sender, describe(lists), false);
      break;
    case "which":
      return which(host, list, lists, sender);
    case "query":
      if (parsed.list === undefined) return which(host, list, lists, sender);
      break;
    case "help":
    case "info":
      if (parsed.list === undefined) {
        return reply(host, list, sender, renderText(host, list, "help", {}), true);
      }
  }
  const served =
    parsed.list === undefined ? lists[0] : findServed(lists, parsed.list, parsed.listHost);
  if (!served) throw refusal(host, list, "ERR_REQ_LISTNAME");
  return passOn(host, list, head, sender, parsed, served);
}

function describe(lists: readonly ServedList[]): string {
  return lists
    .map(
      (each) => `${each.local}@${each.host}\n\t${each.description.replace(/[^\P{Cc}]/gu, " ")}\n`,
    )
    .join("");
}

/** Lists the sender is on; each list's own database is asked, one that cannot be opened is left out. */
async function which(
  host: Host,
  list: List,
  lists: readonly ServedList[],
  sender: string,
): Promise<ExitCode> {
  const found: ServedList[] = [];
  for (const served of lists) {
    if (served.dir === "") continue;
    try {
      const other = await openList(host, resolve(list.dir, served.dir));
      try {
        const db = served.local === other.localFor("digest") ? "digest" : "";
        if ((await other.db(db).has(sender)) !== undefined) found.push(served);
      } finally {
        other.close();
      }
    } catch (error) {
      host.stderr.write(`ezmlm-request: warning: ${errorText(error)}\n`);
    }
  }
  return reply(host, list, sender, describe(found), false);
}

async function reply(
  host: Host,
  list: List,
  sender: string,
  text: string,
  isHelp: boolean,
): Promise<ExitCode> {
  const from = isHelp ? returnAddress(list) : commandAddress(list, "help");
  const receipt = await sendReply(host, list, {
    key: "answer",
    sender: returnAddress(list),
    to: [sender],
    header: [
      makeField("Mailing-List", "ezmlm-request"),
      ...(list.listId ? [makeField("List-ID", list.listId)] : []),
      ...dateAndId(host, list),
      makeField("From", quoteAddress(from)),
      makeField("Delivered-To", `request processor for ${list.address}`),
      makeField("To", quoteAddress(sender)),
    ],
    tail: [subjectField(host, list, "", "SUB_RESULTS")],
    text: `${renderText(host, list, "top", { A: sender })}${text}`,
  });
  host.stderr.write(`ezmlm-request: info: qp ${receipt.id}\n`);
  return STOP;
}

function refusal(host: Host, list: List, key: string): PermanentError {
  return new PermanentError(catalogue(host, list, key));
}
