/**
 * Who owns a local part: users/cdb or users/assign, then the system accounts, then alias. A cdb that is
 * at least as new as assign wins; an older or missing one is passed over and assign is read directly, so
 * that forgetting qmail-newu does no harm. In one-uid mode there are no system accounts, and every
 * delivery runs under the one uid.
 */
import { readFileSync, type Stats, statSync } from "node:fs";
import { join } from "node:path";
import { Cdb } from "../../lib/cdb.ts";
import { isErrno } from "../../lib/errors.ts";
import type { UserRecord } from "../channel/worker-messages.ts";
import { compileAssign, lookUpAssign, RecordError } from "./assign.ts";
import { LSPAWN_BUG, NO_ALIAS_USER, NOT_AS_ROOT, USERS_UNREADABLE } from "./report.ts";
import { type AccountSource, LookupTrouble, lookUpAccount } from "./system-accounts.ts";

export interface Identity {
  readonly uid: number;
  readonly gid: number;
}

export class Users {
  private readonly directory: string;
  private readonly accounts: AccountSource;
  private readonly own: Identity;
  private readonly table: AssignTable;

  /** `own`: the uid and gid we run as; anything but root means one-uid mode. */
  constructor(home: string, accounts: AccountSource, own: Identity) {
    this.directory = join(home, "users");
    this.accounts = accounts;
    this.own = own;
    this.table = new AssignTable(this.directory);
  }

  /** Throws LookupTrouble with the code of the report. */
  async find(local: string): Promise<UserRecord> {
    const assigned = this.assigned(local);
    if (assigned?.uid === 0) throw new LookupTrouble(NOT_AS_ROOT);
    if (this.own.uid !== 0) {
      if (!assigned) throw new LookupTrouble(NO_ALIAS_USER);
      return { ...assigned, uid: this.own.uid, gid: this.own.gid };
    }
    const record = assigned ?? (await lookUpAccount(this.accounts, local));
    if (record.uid === 0) throw new LookupTrouble(NOT_AS_ROOT);
    return record;
  }

  private assigned(local: string): UserRecord | undefined {
    try {
      return this.table.find(local);
    } catch (error) {
      throw new LookupTrouble(error instanceof RecordError ? LSPAWN_BUG : USERS_UNREADABLE, error);
    }
  }
}

/** Answers remembered, so that an address that gets much mail is looked up once. */
const ANSWERS_KEPT = 10_000;

/** The two files, opened anew when they change. */
class AssignTable {
  private readonly directory: string;
  private stamp = "";
  private cdb: Cdb | undefined;
  private readonly answers = new Map<string, UserRecord>();

  constructor(directory: string) {
    this.directory = directory;
  }

  find(local: string): UserRecord | undefined {
    this.refresh();
    const known = this.answers.get(local);
    if (known || !this.cdb) return known;
    const record = lookUpAssign(this.cdb, local);
    if (this.answers.size >= ANSWERS_KEPT) this.answers.clear();
    if (record) this.answers.set(local, record);
    return record;
  }

  private refresh(): void {
    const assign = status(join(this.directory, "assign"));
    const cdb = status(join(this.directory, "cdb"));
    const compiled = cdb !== undefined && (!assign || cdb.mtimeMs >= assign.mtimeMs);
    const used = compiled ? cdb : assign;
    const stamp = used ? `${compiled} ${used.ino} ${used.mtimeMs} ${used.size}` : "";
    if (stamp === this.stamp) return;
    this.cdb?.close();
    this.cdb = undefined;
    this.answers.clear();
    this.stamp = "";
    if (compiled) {
      this.cdb = Cdb.open(join(this.directory, "cdb"));
    } else if (assign) {
      const text = readFileSync(join(this.directory, "assign"), "utf8");
      this.cdb = Cdb.of(compileAssign(text).bytes());
    }
    this.stamp = stamp;
  }
}

function status(path: string): Stats | undefined {
  try {
    return statSync(path, { throwIfNoEntry: false });
  } catch (error) {
    if (isErrno(error, "ENOTDIR")) return undefined;
    throw error;
  }
}
