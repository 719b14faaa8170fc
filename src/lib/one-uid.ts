/**
 * Whose rights mail gets when root starts it (design 3). With the qmail accounts every process has its
 * own; without them everything runs as one uid, never 0: the first that is not root of owner of the
 * home, owner of `lists/`, `control/runas`, else nobody.
 */
import { statSync } from "node:fs";
import { dirname, join } from "node:path";
import { type Account, findAccount } from "./account.ts";
import { Control } from "./control.ts";
import { isErrno, TemporaryError } from "./errors.ts";
import type { Host } from "./program.ts";

export interface Owner {
  readonly uid: number;
  readonly gid: number;
}

export interface OneUid extends Owner {
  /** What decided it, for the log: `owner of /srv/mail`. */
  readonly why: string;
}

/** Owner of a path; undefined when it does not exist. */
export function ownerOf(path: string): Owner | undefined {
  try {
    const { uid, gid } = statSync(path);
    return { uid, gid };
  } catch (error) {
    if (isErrno(error, "ENOENT", "ENOTDIR")) return undefined;
    throw error;
  }
}

/** The one uid for root without accounts. Throws TemporaryError when control/runas names nobody. */
export function oneUid(home: string, root: string): OneUid {
  for (const path of [home, join(root, "lists")]) {
    const owner = ownerOf(path);
    if (owner && owner.uid !== 0) return { ...owner, why: `owner of ${path}` };
  }
  const named = new Control(home).line("runas");
  if (named) {
    const account = findAccount(named);
    if (!account || account.uid === 0) {
      throw new TemporaryError(
        `control/runas must name an account that is not root, not ${JSON.stringify(named)}. (#4.3.5)`,
      );
    }
    return { uid: account.uid, gid: account.gid, why: "control/runas" };
  }
  const nobody = findAccount("nobody");
  return { uid: nobody?.uid ?? 65534, gid: nobody?.gid ?? 65534, why: "nobody" };
}

/** Names of the accounts that give each process its own uid; qmaill only runs the logger. */
export const accountNames = ["alias", "qmaild", "qmailq", "qmailr"] as const;
export type AccountName = (typeof accountNames)[number];
export type Accounts = Readonly<Record<AccountName, Account>>;

/** All of them, or undefined when one is missing. */
export function findAccounts(): Accounts | undefined {
  const found = accountNames.map((name) => [name, findAccount(name)] as const);
  if (found.some(([, account]) => !account || account.uid === 0)) return undefined;
  return Object.fromEntries(found) as Accounts;
}

/**
 * Whose rights root takes before it writes below `path`: its owner, or that of the nearest directory
 * above which exists. Where that is root's, the owner list mail would have: alias, else the one uid.
 */
export function ownerFor(path: string, host: Pick<Host, "home" | "root">): Owner {
  let existing = path;
  let owner = ownerOf(existing);
  while (!owner && dirname(existing) !== existing) {
    existing = dirname(existing);
    owner = ownerOf(existing);
  }
  if (owner && owner.uid !== 0) return owner;
  return findAccounts()?.alias ?? oneUid(host.home, host.root);
}
