/**
 * NAME         ezmlm-weed - throw away mail that needs no answer
 * SYNOPSIS     ezmlm-weed
 * DESCRIPTION  Reads a message and decides whether a robot sent it or it is a notice of success or
 *              delay. Stands first in a manager, moderator, confirmer or bouncer file. Forwards and
 *              changes nothing.
 *              A delivery status notification is read first: it passes when it names a recipient for
 *              whom delivery failed, whatever its header says about automatic submission, so that
 *              bounces are counted. So do bounces in the form of qmail-send and Exim. After that a message is dropped when its header has
 *              Auto-Submitted (other than `no`), Precedence bulk, junk or list, a field of a mailing
 *              list (Mailing-List, List-ID, X-Mailing-List, X-ML-Name, List-Help, List-Unsubscribe,
 *              List-Subscribe, List-Post, List-Owner, List-Archive), or a Subject or a field by which
 *              vacation programs and notices are known. Case does not count.
 * ENVIRONMENT  None. SENDER is not needed.
 * EXIT CODES   0 keep going, also when input ends early. 99 drop the message. 111 input cannot be
 *              read.
 * SECURITY     Input is hostile: header and body are read up to a limit only.
 * STANDARDS    RFC 3464 (delivery status), RFC 3834 (automatic responses), RFC 8098 (receipts)
 * BUGS         Notices that follow no standard are known by English text only.
 * SEE ALSO     ezmlm-return, ezmlm-manage, qmail-local
 */
import { asciiLower } from "../../lib/address.ts";
import { type ExitCode, STOP, SUCCESS } from "../../lib/exit-code.ts";
import { fieldBytes, fieldKey, type HeaderField } from "../../lib/header.ts";
import { OptionTable } from "../../lib/option.ts";
import type { Host, Program } from "../../lib/program.ts";
import { firstBytes, type IncomingMessage, readIncoming } from "../post/incoming.ts";
import { topType } from "../post/post-body.ts";
import { deliveryStatus, isDeliveryReport } from "./delivery-status.ts";
import { qsbmfRecipients } from "./qsbmf.ts";

/** How much of a body is looked at, in bytes. */
const BODY_LIMIT = 256 * 1024;

const options = new OptionTable("ezmlm-weed", []);

export const ezmlmWeed: Program = {
  name: "ezmlm-weed",
  usage: options.usage,
  async run(host: Host): Promise<ExitCode> {
    if (options.parse(host.args).rest.length > 0) throw options.error();
    const message = await readIncoming(host.stdin);
    try {
      return (await isWeed(message)) ? STOP : SUCCESS;
    } finally {
      await message.close();
    }
  },
};

async function isWeed(message: IncomingMessage): Promise<boolean> {
  const type = topType(message.fields);
  const isReport = isDeliveryReport(type);
  const robots = message.fields.filter(isRobotField);
  const mayBeWarning = isSendmailWarning(message.fields);
  if (!isReport && !mayBeWarning && robots.length === 0) return false;
  const body = await firstBytes(message, BODY_LIMIT);
  const statuses = (isReport && deliveryStatus(type, body)) || [];
  if (statuses.length > 0) {
    return !statuses.some((status) => status.action === "failed" || status.action === "");
  }
  // Exim names the recipients of a bounce here, with or without a delivery status.
  if (message.fields.some((field) => fieldKey(field) === "x-failed-recipients")) return false;
  // qmail-send says of its bounces, too, that no human wrote them.
  if (robots.every((field) => fieldKey(field) === "auto-submitted") && isQmailBounce(body)) {
    return false;
  }
  return robots.length > 0 || (mayBeWarning && isWarningBody(body));
}

function isQmailBounce(body: Buffer): boolean {
  const [first] = qsbmfRecipients(body) ?? [];
  return first !== undefined;
}

const listFields = new Set(
  (
    "mailing-list list-id x-mailing-list x-ml-name list-help list-unsubscribe list-subscribe " +
    "list-post list-owner list-archive x-amazon-auto-reply"
  ).split(" "),
);

const subjects = [
  "success notice",
  "deferral notice",
  "message status - delivered",
  "message status - opened",
  "out of office autoreply:",
  "autoresponse -",
];

function isRobotField(field: HeaderField): boolean {
  const key = fieldKey(field);
  if (listFields.has(key)) return true;
  const value = asciiLower(fieldBytes(field).slice(0, 200));
  switch (key) {
    case "auto-submitted":
      return !/^no\b/.test(value); // RFC 3834 5
    case "precedence":
      return /^(bulk|junk|list)\b/.test(value);
    case "subject":
      return subjects.some((start) => value.startsWith(start));
    case "content-type":
      return /^multipart\/report\b.*disposition-notification/.test(value);
    case "x-mailer":
      return value.startsWith("kana response");
    case "thread-topic":
      return value.startsWith("autoresponse");
    default:
      return false;
  }
}

/** Sendmail tells after four hours that it is still trying, from the address it bounces from. */
function isSendmailWarning(fields: readonly HeaderField[]): boolean {
  const starts = (name: string, text: RegExp): boolean =>
    fields.some((field) => fieldKey(field) === name && text.test(fieldBytes(field).slice(0, 200)));
  return (
    starts("from", /^"?Mail Delivery Subsystem"? <MAILER-DAEMON@/i) &&
    starts("subject", /^Warning: (could not send message|message still undelivered)/i)
  );
}

function isWarningBody(body: Buffer): boolean {
  const lines = body.toString("latin1").split("\n", 20);
  return lines.some(
    (line) => /^\s*\*{4,}/.test(line) || /THIS IS A WARNING MESSAGE ONLY/.test(line),
  );
}
