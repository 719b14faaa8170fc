/**
 * The trust partition (design 3) as data: which processes there are, under whose uid, what they may
 * write, what they are to qmail-send. qmail-start starts exactly these rows, in this order; tests
 * assert that what runs is what stands here.
 */

import type { AccountName } from "../../lib/one-uid.ts";
import type { Role } from "../channel/protocol.ts";

export interface ProcessRow {
  /** `dist/NAME.entry.js` is what runs. */
  readonly name: "qmail-send" | "qmail-rspawn" | "qmail-lspawn" | "qmail-smtpd";
  /** Whose uid it has when the accounts exist; root only starts things as other uids. */
  readonly account: AccountName | "root";
  /** What its capability stands for; qmail-send itself has none. */
  readonly role?: Role;
  /** Inherits the listening sockets. */
  readonly listens: boolean;
  /** Paths below the home. */
  readonly writes: readonly string[];
}

/** qmail-send first: the others connect to it. The listener last: it takes mail in. */
export const partition: readonly ProcessRow[] = [
  { name: "qmail-send", account: "qmailq", listens: false, writes: ["queue"] },
  {
    name: "qmail-rspawn",
    account: "qmailr",
    role: "remote",
    listens: false,
    writes: ["queue/lock/tcpto"],
  },
  { name: "qmail-lspawn", account: "root", role: "local", listens: false, writes: [] },
  { name: "qmail-smtpd", account: "qmaild", role: "smtpd", listens: true, writes: [] },
];

/**
 * The order in which they are told to stop: no new mail first, then no new deliveries; qmail-send waits
 * for those that run, and ends before those that do them.
 */
export const stopOrder: readonly [Names, Names, Names] = [
  ["qmail-smtpd"],
  ["qmail-send"],
  ["qmail-rspawn", "qmail-lspawn"],
];
type Names = readonly ProcessRow["name"][];
