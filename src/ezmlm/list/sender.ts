/**
 * SENDER as list programs see it: forwarders wrap it (SRS, BATV), and membership, cookies and replies
 * are about the address inside. Reference ezmlm.md 2.1.
 */
import { isBounceSender } from "../../lib/address.ts";
import { PermanentError } from "../../lib/errors.ts";
import type { Environment } from "../../lib/program.ts";

interface HasEnvironment {
  readonly env: Environment;
}

/** The address inside an SRS0, SRS1, prvs or btv1 wrapper; anything else is returned as it is. */
export function unwrapSender(sender: string): string {
  const at = sender.lastIndexOf("@");
  if (at < 0) return sender;
  const local = sender.slice(0, at);
  const domain = sender.slice(at);
  // SRS0=hash=stamp=DOMAIN=USER@forwarder, SRS1=hash=first==hash=stamp=DOMAIN=USER@forwarder
  const srs =
    /^SRS0[=+-][^=]+=[^=]+=([^=]+)=(.+)$/is.exec(local) ??
    /^SRS1[=+-][^=]+=[^=]+=[=+-][^=]+=[^=]+=([^=]+)=(.+)$/is.exec(local);
  if (srs) return `${srs[2]}@${srs[1]}`;
  const tagFirst = /^prvs=[0-9a-f]{9,}=(.+)$/is.exec(local);
  if (tagFirst) return `${tagFirst[1]}${domain}`;
  const tagLast = /^prvs=(.+)=[0-9a-f]{9,}$/is.exec(local);
  if (tagLast) return `${tagLast[1]}${domain}`;
  const btv = /^btv1==[0-9a-f]{9,}==(.+)$/is.exec(local);
  if (btv) return `${btv[1]}${domain}`;
  return sender;
}

/** SENDER unwrapped; undefined when it is not set (shell use). */
export function readSender(host: HasEnvironment): string | undefined {
  const sender = host.env.SENDER;
  return sender === undefined ? undefined : unwrapSender(sender);
}

/**
 * SENDER unwrapped, for programs that answer mail or post it. Throws PermanentError when it is not set,
 * a bounce, or (unless `allowLocal`) has no `@`.
 */
export function requireSender(
  host: HasEnvironment,
  options: { allowLocal?: boolean } = {},
): string {
  const sender = readSender(host);
  if (sender === undefined) throw new PermanentError("SENDER is not set. (#5.3.5)");
  if (isBounceSender(sender)) {
    throw new PermanentError("I do not reply to bounce messages. (#5.7.2)");
  }
  if (!options.allowLocal && !sender.includes("@")) {
    throw new PermanentError("I do not reply to senders without a host name. (#5.7.2)");
  }
  return sender;
}
