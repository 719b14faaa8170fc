/**
 * Envelope addresses: text, split at the last `@`. An address that is not valid UTF-8 is refused at
 * the door, so inside it is an ordinary string. Case of the local part is kept everywhere; domains
 * compare without case (ASCII). Special senders: "" (bounce), `#@[]` (double bounce), `pre@host-@[]` (VERP).
 */

export interface AddressParts {
  readonly local: string;
  /** Without the `@`; "" when the address has none. */
  readonly domain: string;
}

/** Split at the last `@`. `split("a@b@c")` is `a@b` and `c`; without `@` the domain is "". */
export function splitAddress(address: string): AddressParts {
  const at = address.lastIndexOf("@");
  if (at < 0) return { local: address, domain: "" };
  return { local: address.slice(0, at), domain: address.slice(at + 1) };
}

/** The sender of a bounce. */
export const NULL_SENDER = "";
/** The sender of a double bounce; a bounce of it is discarded. */
export const DOUBLE_BOUNCE_SENDER = "#@[]";

/** Whether mail from this sender is a bounce or a double bounce and must never be answered. */
export function isBounceSender(sender: string): boolean {
  return sender === NULL_SENDER || sender === DOUBLE_BOUNCE_SENDER;
}

/** Lower-case the ASCII letters only: what DNS, hashes and look-ups mean by "without case". */
export function asciiLower(text: string): string {
  // Asked for every name and address there is, and nearly all are in lower case already.
  for (let at = 0; at < text.length; at++) {
    const code = text.charCodeAt(at);
    if (code >= 65 && code <= 90)
      return text.replace(/[A-Z]+/g, (letters) => letters.toLowerCase());
  }
  return text;
}

const atom = /^[A-Za-z0-9!#$%&'*+\-./=?^_`{|}~]+$/;

/**
 * Quote an address for a header or an SMTP command: `x y@h` becomes `"x y"@h`. The empty address
 * stays empty, the domain is never quoted, an address without `@` is quoted as a whole.
 * qmail reference 5.1; RFC 5321 4.1.2.
 */
export function quoteAddress(address: string): string {
  if (address === "") return "";
  const at = address.lastIndexOf("@");
  if (at < 0) return quoteLocal(address);
  return `${quoteLocal(address.slice(0, at))}@${address.slice(at + 1)}`;
}

/** Quote a local part when it needs it. */
export function quoteLocal(local: string): string {
  const plain =
    atom.test(local) && !local.startsWith(".") && !local.endsWith(".") && !local.includes("..");
  return plain ? local : `"${local.replace(/[\r\n"\\]/g, "\\$&")}"`;
}

/** What a VERP sender expands to for one recipient; `undefined` when `sender` is no VERP template. */
export function expandVerp(sender: string, recipient: string): string {
  const template = verpTemplate(sender);
  const at = recipient.lastIndexOf("@");
  if (!template || at < 0) return sender;
  return `${template.prefix}${recipient.slice(0, at)}=${recipient.slice(at + 1)}@${template.host}`;
}

/** Take `pre@host-@[]` apart; `undefined` for an ordinary sender. */
export function verpTemplate(sender: string): { prefix: string; host: string } | undefined {
  if (!sender.endsWith("-@[]")) return undefined;
  const bare = sender.slice(0, -4);
  const at = bare.lastIndexOf("@");
  if (at < 0) return undefined;
  return { prefix: bare.slice(0, at), host: bare.slice(at + 1) };
}

/** Where a bounce of mail from `sender` goes: `pre@host-@[]` to `pre@host`, others unchanged. */
export function bounceAddress(sender: string): string {
  return verpTemplate(sender) ? sender.slice(0, -4) : sender;
}
