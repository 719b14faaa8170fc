/**
 * The two mails a subscriber gets whose mail comes back: the warning, with the numbers of the posts
 * that were lost, and the probe, when the warning came back too. Their envelope senders carry a
 * cookie, so that only a bounce of the mail itself counts. Reference ezmlm-formats.md 6.1.
 */
import { quoteAddress } from "../../lib/address.ts";
import { unixSeconds } from "../../lib/date822.ts";
import { makeField } from "../../lib/header.ts";
import { bufferInput } from "../../lib/message-input.ts";
import type { Host } from "../../lib/program.ts";
import { makeCookie } from "../list/cookie.ts";
import type { List } from "../list/list.ts";
import { dateAndId, mailingListFields, type ReplyMail, subjectField } from "../reply/compose.ts";
import { commandAddress, targetPart } from "../reply/reply-list.ts";
import { renderText } from "../reply/texts.ts";

export interface WarningMail {
  readonly kind: "warning" | "probe";
  /** The subscriber, as in the subscriber database. */
  readonly address: string;
  /** "" or "digest". */
  readonly db: string;
  /** What came back, from its Return-Path line on. */
  readonly bounce: Buffer;
  /** Warnings: lost posts, a line each. */
  readonly numbers: string;
  /** Names this mail within a delivery. */
  readonly key: string;
}

/** `LIST-return-warn-TS.COOKIE-user=host@HOST`: where a bounce of the mail goes. */
export function secretReturnAddress(
  list: List,
  mail: Pick<WarningMail, "kind" | "address" | "db">,
  seconds: number,
): string {
  const { address } = mail;
  const [word, action] = mail.kind === "warning" ? ["warn", "W"] : ["probe", "P"];
  const date = String(seconds);
  // Main list and digest share the key: ezmlm-return is told which of them it serves.
  const cookie = makeCookie(list, { action, date, address });
  return commandAddress(list, `return-${word}-${date}.${cookie}-${targetPart(address)}`, mail.db);
}

/** The whole mail, for sendReply(). */
export function composeWarning(host: Host, list: List, mail: WarningMail): ReplyMail {
  const { db, address, kind } = mail;
  const render = (name: string): string => renderText(host, list, name, { db, A: address });
  const text =
    kind === "warning"
      ? [
          render("top"),
          render("bounce-warn"),
          render(db === "digest" ? "dig-bounce-num" : "bounce-num"),
          mail.numbers,
          render("bounce-bottom"),
        ]
      : [render("top"), render("bounce-probe"), render("bounce-bottom")];
  return {
    key: mail.key,
    // Nobody waits for these, and after bad days they are many.
    urgency: "normal",
    sender: secretReturnAddress(list, mail, unixSeconds(host.now())),
    to: [address],
    header: [
      ...mailingListFields(host, list, db),
      ...dateAndId(host, list),
      makeField("From", quoteAddress(commandAddress(list, "help", db))),
      makeField("To", quoteAddress(address)),
      makeField("Auto-Submitted", "auto-generated"),
    ],
    tail: [subjectField(host, list, db, kind === "warning" ? "SUB_WARNING" : "SUB_PROBE")],
    text: text.join(""),
    request: { input: bufferInput(mail.bounce), bodyLines: list.numberLine("copylines") ?? 0 },
  };
}
