/** What intake says to a submission, and why it says no: the envelope rules of qmail-queue. */
import { isUtf8 } from "node:buffer";
import { isPrefixTemplate } from "../../lib/header-prefix.ts";
import type { Verdict } from "../channel/protocol.ts";
import { ADDRESS_LIMIT } from "./drop-file.ts";

export type IntakeAnswer =
  | { readonly accepted: true; readonly id: number; readonly repeat: boolean }
  | { readonly accepted: false; readonly verdict: Verdict; readonly text: string };

export const WRITE_ERROR = "qq write error or disk full (#4.3.0)";
/** Below the floor: told from trouble while writing, as RFC 3463 X.3.1 does. */
export const DISK_FULL = "qq disk full (#4.3.1)";
export const ADDRESS_TOO_LONG = "envelope address too long for qq (#5.1.3)";
export const BAD_ENVELOPE = "qq envelope format error (#5.5.4)";

/** Longest submission key. */
export const KEY_LIMIT = 1000;

/** What bytes that are no UTF-8 became on their way: whose address it was nobody knows any more. */
const REPLACED = Buffer.from("\ufffd");

/** What is wrong with a sender; undefined: nothing. */
export function senderTrouble(sender: string): string | undefined {
  if (Buffer.byteLength(sender) > ADDRESS_LIMIT) return ADDRESS_TOO_LONG;
  return /[\0\ufffd]/.test(sender) ? BAD_ENVELOPE : undefined;
}

/** What is wrong with whole addresses that ought to end with NUL each; undefined: nothing. */
export function recipientsTrouble(packed: Buffer): string | undefined {
  if (!isUtf8(packed) || packed.includes(REPLACED)) return BAD_ENVELOPE;
  if (packed.length > 0 && packed[packed.length - 1] !== 0) return BAD_ENVELOPE;
  for (let at = 0; at < packed.length; ) {
    const end = packed.indexOf(0, at);
    if (end - at > ADDRESS_LIMIT) return ADDRESS_TOO_LONG;
    if (end === at) return BAD_ENVELOPE;
    at = end + 1;
  }
  return undefined;
}

export function originTrouble(origin: {
  readonly key: string;
  readonly prefix: string;
}): string | undefined {
  const isFit = origin.key.length <= KEY_LIMIT && isPrefixTemplate(origin.prefix);
  return isFit ? undefined : BAD_ENVELOPE;
}
