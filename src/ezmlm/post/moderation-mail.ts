/**
 * The mails about posts that wait: to moderators, to the sender who shall confirm, and back to the
 * poster. Header order as reference ezmlm-texts.md 4.
 */
import { quoteAddress } from "../../lib/address.ts";
import { type HeaderField, makeField } from "../../lib/header.ts";
import { fileInput } from "../../lib/message-input.ts";
import type { Host } from "../../lib/program.ts";
import type { QueueReceipt } from "../../lib/queue-door.ts";
import { makeCookie } from "../list/cookie.ts";
import type { List } from "../list/list.ts";
import {
  dateAndId,
  mailingListFields,
  returnAddress,
  sendReply,
  subjectField,
} from "../reply/compose.ts";
import { targetPart } from "../reply/reply-list.ts";
import { renderText } from "../reply/texts.ts";
import { headerAddress } from "./waiting-room.ts";

/** Action letters: `a` accepts, rejects and confirms; who can only bounce a mail knows just `d`. */
export const DECIDE = "a";
export const DISCARD = "d";

export interface WaitingRequest {
  /** `TS.PID` */
  readonly name: string;
  /** Envelope sender of the post. */
  readonly sender: string;
  readonly path: string;
  /** Leave the body of the post out. */
  readonly headerOnly: boolean;
  readonly multipart: boolean;
}

/** Cookie over the name of a waiting post. */
export function waitingCookie(
  name: string,
  action: string,
): {
  readonly action: string;
  readonly date: string;
  readonly address: string;
} {
  return { action, date: name, address: "" };
}

function commandFor(list: List, word: string, name: string, action: string): string {
  const cookie = makeCookie(list, waitingCookie(name, action));
  return `${list.local}-${word}-${name}.${cookie}@${list.host}`;
}

function enclosed(request: WaitingRequest) {
  return {
    multipart: request.multipart,
    enclosed: { input: fileInput(request.path), headerOnly: request.headerOnly },
  };
}

function opening(host: Host, list: List): HeaderField[] {
  return [...mailingListFields(host, list), ...dateAndId(host, list)];
}

/** `moderator`: the sender is one, and is asked alone. */
export function askModerators(
  host: Host,
  list: List,
  request: WaitingRequest,
  who: { readonly moderator: string | undefined; readonly database: string },
): Promise<QueueReceipt> {
  const { name } = request;
  const accept = commandFor(list, "accept", name, DECIDE);
  const reject = commandFor(list, "reject", name, DECIDE);
  const allow = who.moderator === undefined ? allowAddress(list, request) : undefined;
  const moderators = who.moderator === undefined ? list.db(who.database).each() : [who.moderator];
  return sendReply(host, list, {
    key: `moderate:${name}`,
    sender: returnAddress(list),
    to: Symbol.asyncIterator in moderators ? people(list, moderators) : moderators,
    header: [
      ...opening(host, list),
      makeField("From", quoteAddress(reject)),
      makeField("Reply-To", quoteAddress(accept)),
      ...(allow === undefined ? [] : [makeField("Cc", quoteAddress(allow))]),
      makeField("To", `<${quoteAddress(`${list.local}-moderators@${list.host}`)}>`),
      subjectField(host, list, "", "SUB_MODERATE"),
    ],
    text: renderText(host, list, "mod-request", { A: accept, R: reject, X: "accept-" }),
    ...enclosed(request),
  });
}

/** Who may answer: entries that are addresses; without any the owner, lest the post wait unseen. */
async function* people(
  list: List,
  batches: AsyncIterable<string[]>,
): AsyncGenerator<readonly string[]> {
  let count = 0;
  for await (const batch of batches) {
    const addresses = batch.filter((address) => !address.startsWith("@"));
    count += addresses.length;
    yield addresses;
  }
  if (count === 0) yield [`${list.local}-owner@${list.host}`];
}

/** Where "reply to all" also lets the sender post from now on; lists with remote administration. */
function allowAddress(list: List, request: WaitingRequest): string | undefined {
  const { sender } = request;
  if (!list.has("remote") || !/^[^\p{Cc}]+@[^\p{Cc}]+$/u.test(sender)) return undefined;
  const date = request.name.split(".", 1)[0] as string;
  const cookie = makeCookie(list, { action: "t", date, address: sender, db: "allow" });
  return `${list.local}-allow-tc.${date}.${cookie}-${targetPart(sender)}@${list.host}`;
}

export function askSender(host: Host, list: List, request: WaitingRequest): Promise<QueueReceipt> {
  const confirm = commandFor(list, "confirm", request.name, DECIDE);
  const discard = commandFor(list, "discard", request.name, DISCARD);
  return sendReply(host, list, {
    key: `confirm:${request.name}`,
    sender: discard,
    to: [request.sender],
    header: [
      ...opening(host, list),
      makeField("From", quoteAddress(`${list.local}-owner@${list.host}`)),
      makeField("Reply-To", quoteAddress(confirm)),
      makeField("To", `<${headerAddress(request.sender)}>`),
      subjectField(host, list, "", "SUB_CONFIRM_POST"),
    ],
    text: renderText(host, list, "post-confirm", { A: confirm, R: discard, X: "confirm-" }),
    ...enclosed(request),
  });
}

/** A moderator said no. `comment` is framed already, or "". */
export function returnRejected(
  host: Host,
  list: List,
  request: WaitingRequest,
  reply: { readonly comment: string; readonly replyTo: string | undefined },
): Promise<QueueReceipt> {
  const text = renderText(host, list, "top", {}) + renderText(host, list, "mod-reject", {});
  return sendReply(host, list, {
    key: `reject:${request.name}`,
    sender: returnAddress(list),
    to: [request.sender],
    header: [
      ...opening(host, list),
      makeField("From", quoteAddress(`${list.local}-owner@${list.host}`)),
      ...(reply.replyTo === undefined ? [] : [makeField("Reply-To", reply.replyTo)]),
      makeField("To", headerAddress(request.sender)),
      subjectField(host, list, "", "SUB_RETURNED_POST"),
    ],
    text: text + reply.comment,
    ...enclosed(request),
  });
}

/** Nobody decided in time. */
export function returnExpired(
  host: Host,
  list: List,
  request: WaitingRequest,
): Promise<QueueReceipt> {
  return sendReply(host, list, {
    key: `return:${request.name}`,
    sender: returnAddress(list),
    to: [request.sender],
    header: [
      ...opening(host, list),
      makeField("From", quoteAddress(`${list.local}-help@${list.host}`)),
      subjectField(host, list, "", "SUB_RETURNED_POST"),
      makeField("To", headerAddress(request.sender)),
    ],
    text: renderText(host, list, "top", {}) + renderText(host, list, "mod-timeout", {}),
    ...enclosed(request),
  });
}
