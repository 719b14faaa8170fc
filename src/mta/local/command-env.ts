/**
 * The variables of a delivery (qmail-command). Their values come from strangers: whoever uses them
 * in a shell must quote them, and values a shell might take for an exported function never reach
 * a program line. qmail reference 4.5, 8.1.
 */
import { quoteAddress } from "../../lib/address.ts";
import { dateMbox } from "../../lib/date822.ts";
import { PermanentError } from "../../lib/errors.ts";
import type { Environment } from "../../lib/program.ts";

/** One delivery as qmail-local is asked for it. */
export interface LocalAddress {
  readonly user: string;
  readonly home: string;
  /** Local part as delivered, original case, virtual prepend included. */
  readonly local: string;
  readonly dash: string;
  readonly ext: string;
  readonly domain: string;
  readonly sender: string;
}

const oneLine = (text: string): string => text.replaceAll("\n", "_");

export const deliveredTo = (address: LocalAddress): string =>
  `Delivered-To: ${oneLine(`${address.local}@${address.domain}`)}\n`;

export const returnPath = (address: LocalAddress): string =>
  `Return-Path: <${oneLine(quoteAddress(address.sender))}>\n`;

export function fromLine(address: LocalAddress, now: Date): string {
  const sender = address.sender.replace(/[ \t\n]/g, "-") || "MAILER-DAEMON";
  return `From ${sender} ${dateMbox(now)}\n`;
}

/** `text` without its last label; unchanged when no dot is left. */
function withoutLastLabel(text: string): string {
  const dot = text.lastIndexOf(".");
  return dot < 0 ? text : text.slice(0, dot);
}

/** What follows the first `-`, or nothing. */
function afterDash(text: string): string {
  const dash = text.indexOf("-");
  return dash < 0 ? "" : text.slice(dash + 1);
}

/** The variables of this delivery; DEFAULT is undefined (removed) when it does not apply. */
export function commandEnvironment(
  address: LocalAddress,
  newSender: string,
  defaultPart: string | undefined,
  now: Date,
): Environment {
  const host2 = withoutLastLabel(address.domain);
  const host3 = withoutLastLabel(host2);
  const ext2 = afterDash(address.ext);
  const ext3 = afterDash(ext2);
  return {
    SENDER: address.sender,
    NEWSENDER: newSender,
    RECIPIENT: `${address.local}@${address.domain}`,
    LOCAL: address.local,
    HOST: address.domain,
    HOST2: host2,
    HOST3: host3,
    HOST4: withoutLastLabel(host3),
    EXT: address.ext,
    EXT2: ext2,
    EXT3: ext3,
    EXT4: afterDash(ext3),
    DEFAULT: defaultPart,
    USER: address.user,
    HOME: address.home,
    DTLINE: deliveredTo(address),
    RPLINE: returnPath(address),
    UFLINE: fromLine(address, now),
  };
}

/** Variables that hold nothing but what qmail-local put there; a shell has no opinion on them. */
export const deliveryVariables: ReadonlySet<string> = new Set(
  (
    "SENDER NEWSENDER RECIPIENT LOCAL HOST HOST2 HOST3 HOST4 EXT EXT2 EXT3 EXT4 DEFAULT USER HOME " +
    "DTLINE RPLINE UFLINE"
  ).split(" "),
);

/** Refuse a delivery to programs whose variables hold a NUL or look like a shell function. */
export function guardEnvironment(env: Environment): void {
  for (const name of deliveryVariables) {
    const value = env[name];
    if (value?.includes("\0")) {
      throw new PermanentError(`Refusing a NUL in the variable ${name}. (#5.1.3)`);
    }
    // Shellshock, CVE-2014-6271: bash runs what follows such a value.
    if (value?.startsWith("() {")) {
      throw new PermanentError(`Refusing a shell function in the variable ${name}. (#5.7.1)`);
    }
  }
}
