/**
 * NAME         qmail-inject - complete a message and queue it
 * SYNOPSIS     qmail-inject [-nNaAhH] [-f sender] [recipient ...]
 * DESCRIPTION  Reads a message, rewrites the addresses in its header to full
 *              ones, adds Date, Message-ID, From and the like where they are
 *              missing, deletes Bcc, Return-Path and Content-Length, and
 *              queues it. Recipients given as arguments are raw addresses,
 *              not header syntax. A message with a Resent field goes to the
 *              resent recipients only. Addresses in To, Cc and Bcc that
 *              cannot be parsed are left as they are, but when no recipient
 *              comes from anywhere else the message is refused.
 * OPTIONS      -a recipients are the arguments. -h recipients are in the
 *              header. -A arguments if there are any, else header (default).
 *              -H both. -f sender of the envelope. -n print the message
 *              instead of queueing it. -N queue it (default).
 * ENVIRONMENT  QMAILUSER MAILUSER USER LOGNAME, QMAILHOST MAILHOST, QMAILNAME
 *              MAILNAME NAME: From. QMAILSUSER, QMAILSHOST: sender.
 *              QMAILDEFAULTHOST, QMAILDEFAULTDOMAIN, QMAILPLUSDOMAIN,
 *              QMAILIDHOST: before the control files. QMAILMFTFILE: lists
 *              that get Mail-Followup-To. QMAILINJECT letters: c From with a
 *              comment, s ignore Return-Path, f delete From, i delete
 *              Message-ID, r sender per recipient, m sender per message.
 *              QMAILQUEUE program to queue with.
 * FILES        control/defaulthost, control/defaultdomain, control/plusdomain,
 *              control/idhost, control/me
 * EXIT CODES   0 queued or printed. 100 wrong use, unusable addresses, or
 *              refused for good. 111 trouble now, try again.
 * STANDARDS    RFC 5322, RFC 822 address syntax
 * SEE ALSO     qmail-queue, sendmail, mailsubj
 */
import { readFileSync } from "node:fs";
import { resolve } from "node:path";
import { asciiLower, quoteAddress } from "../../lib/address.ts";
import { errorText, isErrno, PermanentError, TemporaryError } from "../../lib/errors.ts";
import { type ExitCode, SUCCESS } from "../../lib/exit-code.ts";
import { OptionTable } from "../../lib/option.ts";
import type { Host, Program } from "../../lib/program.ts";
import { argumentAddress, toText } from "./address-argument.ts";
import { type CompletedHeader, completeHeader, unparsable } from "./complete-header.ts";
import { contentKey } from "./content-key.ts";
import { type InjectedMessage, readMessage } from "./message-reader.ts";
import { type Persona, persona } from "./persona.ts";
import { addressFrom } from "./token.ts";

const options = new OptionTable(
  "qmail-inject",
  [
    { letter: "n", help: "print instead of queueing" },
    { letter: "N", help: "queue", negates: "n" },
    { letter: "a", help: "recipients are the arguments" },
    { letter: "A", help: "arguments if any, else header" },
    { letter: "h", help: "recipients are in the header" },
    { letter: "H", help: "recipients are both" },
    { letter: "f", argument: "sender", help: "sender of the envelope" },
  ],
  "[recipient ...]",
);

export const qmailInject: Program = {
  name: "qmail-inject",
  usage: options.usage,
  readsFirst: true,
  async run(host) {
    const given = options.parse(host.args);
    const who = persona(host);
    const lists = followupLists(host);
    const message = await readInput(host);
    const header = completeHeader(host, who, message.fields, lists);
    const sender = envelopeSender(who, given.value("f"), header);
    if (given.flag("n")) return printMessage(host, sender, header, message);
    const recipients = chosenRecipients(strategy(host.args), who, given.rest, header);
    return queueMessage(host, sender, recipients, header, message);
  },
};

/** The last of -a -A -h -H counts. */
function strategy(args: readonly string[]): string {
  let last = "A";
  for (let at = 0; at < args.length; at++) {
    const word = args[at] as string;
    if (!word.startsWith("-") || word === "-" || word === "--") break;
    const letters = /^-([^f]*)(f?)(.*)$/s.exec(word);
    for (const letter of letters?.[1] ?? "") if ("aAhH".includes(letter)) last = letter;
    if (letters?.[2] && letters[3] === "") at++;
  }
  return last;
}

async function readInput(host: Host): Promise<InjectedMessage> {
  try {
    return await readMessage(host.stdin.chunks());
  } catch (error) {
    throw new TemporaryError(`read error: ${errorText(error)}`, { cause: error });
  }
}

function followupLists(host: Host): ReadonlySet<string> {
  const file = host.env.QMAILMFTFILE;
  if (!file) return new Set();
  try {
    const lines = readFileSync(resolve(host.cwd, file), "latin1").split("\n");
    return new Set(
      lines.map((line) => asciiLower(line.trim())).filter((line) => !/^(#|$)/.test(line)),
    );
  } catch (error) {
    if (isErrno(error, "ENOENT")) return new Set();
    throw new TemporaryError(`unable to read ${file}: ${errorText(error)}`, { cause: error });
  }
}

function envelopeSender(who: Persona, option: string | undefined, header: CompletedHeader): string {
  if (option === "") return "";
  if (option !== undefined) return addressFrom(argumentAddress(option, who.domains));
  if (header.sender === undefined) return who.sender();
  return header.sender + (who.hacks.r ? "-@[]" : "");
}

function chosenRecipients(
  strategy: string,
  who: Persona,
  args: readonly string[],
  header: CompletedHeader,
): string[] {
  const useArgs = strategy !== "h";
  const useHeader = strategy === "h" || strategy === "H" || (strategy === "A" && args.length === 0);
  const named = useArgs ? args.map((arg) => addressFrom(argumentAddress(arg, who.domains))) : [];
  if (useHeader && named.length === 0 && header.unusable) throw unparsable(header.unusable);
  return [...named, ...(useHeader ? header.recipients : [])];
}

async function printMessage(
  host: Host,
  sender: string,
  header: CompletedHeader,
  message: InjectedMessage,
): Promise<ExitCode> {
  const first = `Return-Path: <${quoteAddress(sender)}>\n`;
  host.stdout.write(Buffer.from(first + header.text + (message.hasBody ? "\n" : ""), "latin1"));
  for await (const chunk of message.body()) {
    host.stdout.write(chunk);
    await host.stdout.flush();
  }
  return SUCCESS;
}

async function queueMessage(
  host: Host,
  sender: string,
  recipients: readonly string[],
  header: CompletedHeader,
  message: InjectedMessage,
): Promise<ExitCode> {
  const { key, body } = await contentKey(host, message);
  const submission = host.queue.open(key === undefined ? {} : { key });
  try {
    submission.put(Buffer.from(header.text + (message.hasBody ? "\n" : ""), "latin1"));
    for await (const chunk of body) {
      submission.put(chunk);
      if (submission.full) await submission.drained();
    }
    submission.from(toText(sender));
    for (const recipient of recipients) submission.to(toText(recipient));
    await submission.commit();
  } catch (error) {
    submission.abort();
    if (error instanceof PermanentError || error instanceof TemporaryError) throw error;
    throw new TemporaryError(`read error: ${errorText(error)}`, { cause: error });
  }
  return SUCCESS;
}
