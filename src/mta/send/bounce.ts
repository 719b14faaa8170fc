/**
 * Bounce texts (QSBMF) and who gets them. Pure: bytes in, bytes out; bouncer.ts queues them.
 * qmail reference 7.4; RFC 3834 (Auto-Submitted).
 */
import {
  bounceAddress,
  DOUBLE_BOUNCE_SENDER,
  NULL_SENDER,
  quoteAddress,
} from "../../lib/address.ts";
import { date822, dateCompact } from "../../lib/date822.ts";

export interface BounceControls {
  readonly bouncefrom: string;
  readonly bouncehost: string;
  /** "" = double bounces are discarded. */
  readonly doublebounceto: string;
  readonly doublebouncehost: string;
  /** Most bytes of the failed message to copy; 0 all. */
  readonly bouncemaxbytes: number;
}

export type BouncePlan =
  | {
      readonly kind: "single" | "double";
      readonly sender: string;
      readonly recipient: string;
    }
  | { readonly kind: "discard double" | "discard triple" };

/** Who is told that mail from `sender` failed. */
export function bouncePlan(sender: string, controls: BounceControls): BouncePlan {
  if (sender === DOUBLE_BOUNCE_SENDER) return { kind: "discard triple" };
  if (sender !== NULL_SENDER) {
    return { kind: "single", sender: NULL_SENDER, recipient: bounceAddress(sender) };
  }
  if (controls.doublebounceto === "") return { kind: "discard double" };
  const recipient = `${controls.doublebounceto}@${controls.doublebouncehost}`;
  return { kind: "double", sender: DOUBLE_BOUNCE_SENDER, recipient };
}

/** `<ADDR>:` and the report, without an empty line inside, then one empty line. */
export function paragraph(address: string, text: string): string {
  const body = text.endsWith("\n") ? text : `${text}\n`;
  const whole = `<${address.replaceAll("\n", "_")}>:\n${body.replaceAll("\r", "")}`;
  return `${whole.replace(/(?<=\n)\n/g, "/")}\n`;
}

const headerSafe = (address: string): string =>
  // biome-ignore lint/suspicious/noControlCharactersInRegex: none may reach a header
  quoteAddress(address).replace(/[\x00-\x1f\x7f]/g, "_");

export interface BounceHead {
  readonly kind: "single" | "double";
  readonly recipient: string;
  /** Number of the bounce, for its Message-ID. */
  readonly id: number;
  readonly now: Date;
  readonly failedSender: string;
}

/** Header and introduction. */
export function bounceOpening(bounce: BounceHead, controls: BounceControls): string {
  const { bouncehost } = controls;
  const from = headerSafe(`${controls.bouncefrom}@${bouncehost}`);
  const id = `${dateCompact(bounce.now)}.${bounce.id}.qmail@${bouncehost}`;
  const intro =
    bounce.kind === "single"
      ? "I'm afraid I wasn't able to deliver your message to the following addresses.\n" +
        "This is a permanent error; I've given up. Sorry it didn't work out.\n"
      : "I tried to deliver a bounce message to this address, but the bounce bounced!\n";
  return (
    `Date: ${date822(bounce.now)}\n` +
    `From: ${from}\n` +
    `To: ${headerSafe(bounce.recipient)}\n` +
    "Subject: failure notice\n" +
    `Message-ID: <${id}>\n` +
    "Auto-Submitted: auto-replied\n" +
    "\n" +
    `Hi. This is the qmail-send program at ${bouncehost}.\n` +
    intro +
    "\n"
  );
}

/** Between the paragraphs and the copy. */
export function bounceBreak(bounce: BounceHead): string {
  const what = bounce.kind === "single" ? "a copy of the message" : "the original bounce";
  return (
    `--- Below this line is ${what}.\n\n` + `Return-Path: <${headerSafe(bounce.failedSender)}>\n`
  );
}
