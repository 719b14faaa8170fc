/**
 * Which uid each part of this installation has (design 3). Decided once, at set-up and again at start,
 * from the same facts, so both come to the same answer.
 */

import { type Accounts, findAccounts, type Owner, oneUid } from "../../lib/one-uid.ts";
import type { Host } from "../../lib/program.ts";
import type { ProcessRow } from "./partition.ts";

export interface Identities {
  /** self: not root. accounts: root with the qmail accounts. one: root without them. */
  readonly mode: "self" | "accounts" | "one";
  /** One line for the log. */
  readonly text: string;
  /** Owner of `queue/`. */
  readonly queue: Owner;
  /** Owner of `lists/` and `alias/`. */
  readonly lists: Owner;
  /** Owner of the home, `control/` and `users/`. */
  readonly home: Owner;
  /** Owner of `queue/lock/tcpto`, which qmail-rspawn keeps. */
  readonly timeouts: Owner;
  /** Owner of the socket `queue/intake` when the servers are not in the group of the queue. */
  readonly intake?: Owner;
  /** What to start a process as; undefined = as we are. */
  process(row: ProcessRow): Owner | undefined;
}

function withAccounts(accounts: Accounts): Identities {
  const root: Owner = { uid: 0, gid: 0 };
  const names = Object.values(accounts).map((account) => `${account.name} ${account.uid}`);
  return {
    mode: "accounts",
    text: `root with the qmail accounts: ${names.join(", ")}`,
    queue: accounts.qmailq,
    lists: accounts.alias,
    home: root,
    timeouts: accounts.qmailr,
    intake: { uid: accounts.qmailq.uid, gid: accounts.qmaild.gid },
    process: (row) => (row.account === "root" ? undefined : accounts[row.account]),
  };
}

export function identities(host: Pick<Host, "uid" | "gid" | "home" | "root">): Identities {
  if (host.uid !== 0) {
    const self: Owner = { uid: host.uid, gid: host.gid };
    const text = `every process as uid ${self.uid}`;
    return {
      mode: "self",
      text,
      queue: self,
      timeouts: self,
      lists: self,
      home: self,
      process: () => undefined,
    };
  }
  const accounts = findAccounts();
  if (accounts) return withAccounts(accounts);
  const one = oneUid(host.home, host.root);
  const text = `root without the qmail accounts: every process as uid ${one.uid} (${one.why})`;
  return {
    mode: "one",
    text,
    queue: one,
    timeouts: one,
    lists: one,
    home: one,
    process: () => one,
  };
}
