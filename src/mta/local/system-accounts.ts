/**
 * System accounts as owners of addresses (qmail-getpw): /etc/passwd read when it changes, and getent(1)
 * where the site has other sources. An account counts only if it owns its home and is not root; the
 * rest belongs to alias. qmail reference 2.3, 8.1.
 */
import { readFileSync, statSync } from "node:fs";
import { type Account, askAccount, parseAccount } from "../../lib/account.ts";
import { asciiLower } from "../../lib/address.ts";
import { errorText, isTemporaryErrno } from "../../lib/errors.ts";
import type { UserRecord } from "../channel/worker-messages.ts";
import { CANNOT_LOOK_UP, HOME_UNREACHABLE, NO_ALIAS_USER } from "./report.ts";

export interface AccountSource {
  find(name: string): Promise<Account | undefined>;
}

/** A look-up ended in one of the troubles of report.ts. */
export class LookupTrouble extends Error {
  override readonly name = "LookupTrouble";
  readonly code: number;
  constructor(code: number, cause?: unknown) {
    super(`look-up trouble ${code}: ${errorText(cause)}`, { cause });
    this.code = code;
  }
}

const BREAK = "-";
/** Longest account name, exclusive. */
const NAME_LIMIT = 32;

/** The owner of a local part among the system accounts, alias at the last. */
export async function lookUpAccount(source: AccountSource, local: string): Promise<UserRecord> {
  for (let size = local.length; size > 0; size--) {
    if (size >= NAME_LIMIT || (size < local.length && local[size] !== BREAK)) continue;
    const account = await source.find(asciiLower(local.slice(0, size)));
    if (!account || account.uid === 0 || !ownsHome(account)) continue;
    const rest = size < local.length;
    return record(account, rest ? BREAK : "", rest ? local.slice(size + 1) : "");
  }
  const alias = await source.find("alias");
  if (!alias) throw new LookupTrouble(NO_ALIAS_USER);
  return record(alias, BREAK, local);
}

function record(account: Account, dash: string, ext: string): UserRecord {
  const { name, uid, gid, home } = account;
  return { user: name, uid, gid, home, dash, ext };
}

function ownsHome(account: Account): boolean {
  try {
    return statSync(account.home).uid === account.uid;
  } catch (error) {
    if (isTemporaryErrno(error)) throw new LookupTrouble(HOME_UNREACHABLE, error);
    return false;
  }
}

/** The accounts of this machine. */
export class SystemAccounts implements AccountSource {
  private readonly passwdPath: string;
  private readonly others: boolean;
  private stamp = "";
  private accounts = new Map<string, Account>();

  constructor(passwdPath = "/etc/passwd", nsswitchPath = "/etc/nsswitch.conf") {
    this.passwdPath = passwdPath;
    this.others = hasOtherSources(nsswitchPath);
  }

  async find(name: string): Promise<Account | undefined> {
    this.refresh();
    const known = this.accounts.get(name);
    const account = known || !this.others ? known : await asked(name);
    return account?.home.startsWith("/") ? account : undefined;
  }

  private refresh(): void {
    const { mtimeMs, ino, size } = statSync(this.passwdPath);
    const stamp = `${mtimeMs} ${ino} ${size}`;
    if (stamp === this.stamp) return;
    const accounts = new Map<string, Account>();
    for (const line of readFileSync(this.passwdPath, "utf8").split("\n")) {
      const account = parseAccount(line);
      if (account && !accounts.has(account.name)) accounts.set(account.name, account);
    }
    this.accounts = accounts;
    this.stamp = stamp;
  }
}

/** `files` is /etc/passwd, `systemd` only makes up accounts that get no mail. */
function hasOtherSources(nsswitchPath: string): boolean {
  let text: string;
  try {
    text = readFileSync(nsswitchPath, "utf8");
  } catch {
    return false; // no such file: the C library asks /etc/passwd alone, too
  }
  const sources = /^\s*passwd:([^#\n]*)/m.exec(text)?.[1] ?? "files";
  return sources
    .replace(/\[[^\]]*\]/g, " ")
    .split(/\s+/)
    .some((source) => !["", "files", "systemd"].includes(source));
}

function asked(name: string): Promise<Account | undefined> {
  return askAccount(name).catch((error: unknown) => {
    throw new LookupTrouble(CANNOT_LOOK_UP, error);
  });
}
