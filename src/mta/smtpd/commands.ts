/**
 * The verbs. A handler gets the conversation and the argument (a binary string) and returns its
 * reply. Verbs that are not here are 502. qmail reference 6.1.
 */
import { announcedSize, isBadBodyType, type LocalIpHost, parsePath } from "./argument.ts";
import { isAllowedRecipient, isBadSender } from "./policy.ts";
import { extensions, reply } from "./reply.ts";
import type { Settings } from "./settings.ts";

/** Most recipients of one message, in number and in bytes; more get 452 and come separately. */
const RECIPIENT_LIMIT = 10_000;
const RECIPIENT_BYTES_LIMIT = 1 << 20;

/** A transaction between MAIL and the end of DATA. */
export interface Transaction {
  readonly sender: string;
  readonly hasBadSender: boolean;
  readonly recipients: string[];
  recipientBytes: number;
}

export interface Conversation {
  readonly settings: Settings;
  readonly localIpHost: LocalIpHost | undefined;
  /** Argument of the last HELO or EHLO. */
  helo: string | undefined;
  protocol: "SMTP" | "ESMTP";
  transaction: Transaction | undefined;
  /** Open the queue; the reply is 354 or why not. */
  startData(transaction: Transaction): string;
  quit(): string;
}

type Handler = (c: Conversation, argument: string) => string;

function hello(c: Conversation, argument: string, protocol: "SMTP" | "ESMTP"): void {
  c.helo = argument.trimEnd();
  c.protocol = protocol;
  c.transaction = undefined;
}

/** By verb, in a Map: what comes from the wire is never looked up as a property. */
const handlers: ReadonlyMap<string, Handler> = new Map(
  Object.entries<Handler>({
    HELO(c, argument) {
      hello(c, argument, "SMTP");
      return `250 ${c.settings.greeting}\r\n`;
    },
    EHLO(c, argument) {
      hello(c, argument, "ESMTP");
      return extensions(c.settings.greeting, c.settings.databytes);
    },
    MAIL(c, argument) {
      const path = parsePath(argument, c.localIpHost);
      if (!path) return reply.syntax;
      if (path.rest !== "") {
        const size = announcedSize(path.rest);
        if (size === "bad" || isBadBodyType(path.rest)) return reply.syntax;
        const limit = c.settings.databytes;
        if (size !== undefined && limit > 0 && size > limit) return reply.tooBig; // RFC 1870 6.1
      }
      c.transaction = {
        sender: path.address,
        hasBadSender: isBadSender(c.settings, path.address),
        recipients: [],
        recipientBytes: 0,
      };
      return reply.ok;
    },
    RCPT(c, argument) {
      const { transaction, settings } = c;
      if (!transaction) return reply.mailFirst;
      const path = parsePath(argument, c.localIpHost);
      // An empty recipient could only bounce: there is nobody it names.
      if (!path || path.address === "") return reply.syntax;
      if (transaction.hasBadSender) return reply.badSender;
      let recipient = path.address;
      if (settings.relayClient !== undefined) recipient += settings.relayClient;
      else if (!isAllowedRecipient(settings, recipient)) return reply.relayDenied;
      const bytes = transaction.recipientBytes + recipient.length;
      if (transaction.recipients.length >= RECIPIENT_LIMIT || bytes > RECIPIENT_BYTES_LIMIT) {
        return reply.tooManyRecipients;
      }
      transaction.recipients.push(recipient);
      transaction.recipientBytes = bytes;
      return reply.ok;
    },
    DATA(c) {
      const { transaction } = c;
      if (!transaction) return reply.mailFirst;
      if (transaction.recipients.length === 0) return reply.rcptFirst;
      return c.startData(transaction);
    },
    RSET(c) {
      c.transaction = undefined;
      return reply.flushed;
    },
    NOOP: () => reply.ok,
    HELP: () => reply.help,
    VRFY: () => reply.verify,
    QUIT: (c) => c.quit(),
  }),
);

/** Answer one command line (without its line end). */
export function answer(conversation: Conversation, line: string): string {
  const space = line.indexOf(" ");
  const verb = (space < 0 ? line : line.slice(0, space)).toUpperCase();
  const handler = handlers.get(verb);
  if (!handler) return reply.unimplemented;
  return handler(conversation, space < 0 ? "" : line.slice(space).trimStart());
}
