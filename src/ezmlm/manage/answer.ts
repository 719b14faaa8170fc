/**
 * Replies of ezmlm-manage: one header for all of them. A run sends one mail, so all share one key: when
 * a delivery is repeated after the mail was queued, nobody gets a second one, whatever the text would
 * be by now. Reference ezmlm-texts.md 4.
 */
import { quoteAddress } from "../../lib/address.ts";
import { fieldKey, type HeaderField, makeField } from "../../lib/header.ts";
import { bufferInput } from "../../lib/message-input.ts";
import {
  commandFields,
  dateAndId,
  mailingListFields,
  returnAddress,
  sendReply,
  subjectField,
} from "../reply/compose.ts";
import { commandAddress, localFor, mailto, targetPart } from "../reply/reply-list.ts";
import { catalogue, renderText, type TextTags } from "../reply/texts.ts";
import { info, type ManageContext } from "./context.ts";

export interface Answer {
  /** Name of the text, for -a. */
  readonly text: string;
  /** Texts to render between top and bottom; default: the one named. */
  readonly parts?: readonly string[];
  /** Text that is there already, after the parts. */
  readonly insert?: string;
  readonly subject: string;
  readonly subjectParams?: readonly string[];
  /** Envelope recipients. */
  readonly to: readonly string[];
  /** What the To field says; default: the first recipient. */
  readonly toField?: string;
  /** Whom it is about; default: the target. */
  readonly about?: string;
  /** Command address to reply to, and its action token. */
  readonly reply?: { readonly address: string; readonly action: string };
  /** Set Reply-To to it (default: yes when there is a reply address). */
  readonly replyTo?: boolean;
  readonly listUnsubscribe?: boolean;
  /** Do not copy the request: a moderator made it, and stays unknown. */
  readonly suppressed?: boolean;
  /** Help goes out with a From nobody answers, so that two robots do not talk for ever. */
  readonly isHelp?: boolean;
  readonly toOwner?: boolean;
}

/** Compose and queue; writes `info: qp …`. */
export async function answer(context: ManageContext, mail: Answer): Promise<void> {
  const { host, list, dbName, options, head } = context;
  if (options.announce) info(context, `sending ${mail.text}`);
  const tags: TextTags = {
    db: dbName,
    A: mail.about ?? context.target,
    ...(mail.reply ? { R: mail.reply.address, X: mail.reply.action } : {}),
  };
  const render = (name: string): string => renderText(host, list, name, tags);
  const hasBottom = options.bottom || mail.isHelp === true;
  const copied = mail.suppressed ? `${catalogue(host, list, "TXT_SUPPRESSED")}\n` : "";
  const text = [
    render("top"),
    ...(mail.parts ?? [mail.text]).map(render),
    mail.insert ?? "",
    hasBottom ? render("bottom") + copied : "",
  ].join("");
  const owner = mail.toOwner ? [commandAddress(list, "owner", dbName)] : [];
  const receipt = await sendReply(host, list, {
    key: "answer",
    sender: returnAddress(list, dbName),
    to: [...mail.to, ...owner],
    header: header(context, mail),
    tail: tail(context, mail),
    text,
    ...(hasBottom && !mail.suppressed
      ? {
          request: {
            input: bufferInput(Buffer.concat([head.headerBytes, Buffer.from("\n"), head.body])),
            bodyLines: options.copyLines,
            returnPath: context.sender,
          },
        }
      : {}),
  });
  info(context, `qp ${receipt.id}`);
}

function header(context: ManageContext, mail: Answer): HeaderField[] {
  const { host, list, dbName } = context;
  const from = mail.isHelp ? returnAddress(list, dbName) : commandAddress(list, "help", dbName);
  const to = mail.toField ?? mail.to[0] ?? context.target;
  // Who has seen the request stays visible, so that loops through others end (RFC 9228).
  const trace = context.head.fields.filter((field) =>
    ["delivered-to", "received"].includes(fieldKey(field)),
  );
  return [
    ...mailingListFields(host, list, dbName),
    ...commandFields(list, dbName),
    ...dateAndId(host, list),
    makeField("From", quoteAddress(from)),
    makeField("To", quoteAddress(to)),
    makeField("Delivered-To", responder(list, dbName)),
    ...(mail.suppressed ? [] : trace),
  ];
}

/** Value of our own Delivered-To, the mark that ends loops. */
export function responder(list: { local: string; host: string }, db: string): string {
  return `responder for ${localFor(list, db)}@${list.host}`;
}

function tail(context: ManageContext, mail: Answer): HeaderField[] {
  const { host, list, dbName } = context;
  const fields: HeaderField[] = [];
  if (mail.listUnsubscribe) {
    const command = `unsubscribe-${targetPart(mail.about ?? context.target)}`;
    const address = commandAddress(list, command, dbName);
    fields.push(makeField("List-Unsubscribe", `<${mailto(address)}>`));
  }
  if (mail.reply && mail.replyTo !== false) {
    fields.push(makeField("Reply-To", quoteAddress(mail.reply.address)));
  }
  fields.push(subjectField(host, list, dbName, mail.subject, ...(mail.subjectParams ?? [])));
  return fields;
}
