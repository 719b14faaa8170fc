/**
 * The link by which a subscriber leaves a list: `LOCAL[-DB]-ul.COOKIE-user=host@HOST`, another one in
 * every copy of a post. Whoever has it received a copy, so no confirmation is asked for. Switched on by
 * DIR/unsubscribelink; when that file names an https URL, the link stands there as well, for the button
 * of mail programs (RFC 8058): whatever answers there has to mail to `LOCAL-ul.` and what follows the
 * URL. A link is good as long as the list keeps its key.
 */
import { createHmac, timingSafeEqual } from "node:crypto";
import { PermanentError, TemporaryError } from "../../lib/errors.ts";
import { fieldKey, type HeaderField } from "../../lib/header.ts";
import {
  cookieMark,
  isPrefixTemplate,
  linkCookie,
  recipientMark,
  recipientText,
} from "../../lib/header-prefix.ts";
import type { Host } from "../../lib/program.ts";
import type { List } from "../list/list.ts";
import { commandAddress, mailto } from "../reply/reply-list.ts";

const file = "unsubscribelink";

/** Fields that are ours in a copy with a link, lower case. */
const linkFields = new Set(["list-unsubscribe", "list-unsubscribe-post"]);

export function isLinkField(field: HeaderField): boolean {
  return linkFields.has(fieldKey(field));
}

/**
 * What every copy of a post (or digest) has in front; undefined: the list has no links, or the queue
 * cannot keep them. Throws TemporaryError for a file that holds no https URL.
 */
export function linkPrefix(host: Pick<Host, "queue">, list: List, db = ""): string | undefined {
  if (!list.has(file) || !host.queue.carriesPrefix) return undefined;
  const url = list.line(file, { db });
  if (url !== undefined && !/^https:\/\/(?:(?![<>",\\])[!-~])+$/.test(url)) {
    throw new TemporaryError(`${list.path(file)} must be empty or hold an https URL. (#4.3.5)`);
  }
  const link = `${cookieMark(linkSecret(list, db))}-${recipientMark}`;
  const address = mailto(commandAddress(list, "ul.", db));
  const at = address.lastIndexOf("@");
  const mail = `<${address.slice(0, at)}${link}${address.slice(at)}>`;
  const template =
    url === undefined
      ? `List-Unsubscribe: ${mail}\n`
      : `List-Unsubscribe: <${url}${link}>,\n ${mail}\n` +
        "List-Unsubscribe-Post: List-Unsubscribe=One-Click\n";
  if (!isPrefixTemplate(template)) {
    throw new PermanentError(`List-Unsubscribe of ${list.address} is no header field. (#5.3.5)`);
  }
  return template;
}

/** Whether `cookie` is that of the link in copies for `address`. */
export function isLinkOf(list: List, db: string, address: string, cookie: string): boolean {
  const right = Buffer.from(linkCookie(linkSecret(list, db), recipientText(address)));
  const given = Buffer.from(cookie);
  return given.length === right.length && timingSafeEqual(given, right);
}

/** Derived, so that the queue, which sees it, learns nothing about the list's other cookies. */
function linkSecret(list: List, db: string): Buffer {
  return createHmac("sha256", list.key).update(`unsubscribe link ${db}`).digest();
}
