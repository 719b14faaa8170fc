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
import { isSameFile, isSettled } from "../../lib/same-file.ts";
import type { UserRecord } from "../channel/worker-messages.ts";
import { compileAssign, lookUpAssign, RecordError } from "./assign.ts";
import { LSPAWN_BUG, NO_ALIAS_USER, NOT_AS_ROOT, USERS_UNREADABLE } from "./report.ts";
import { type AccountSource, LookupTrouble, lookUpAccount } from "./system-accounts.ts";

export interface Identity {
  readonly uid: number;
  readonly gid: number;
}

export class Users {
  private readonly accounts: AccountSource;
  private readonly own: Identity;
  private readonly table: AssignTable;

  /** `own`: the uid and gid we run as; anything but root means one-uid mode. */
  constructor(home: string, accounts: AccountSource, own: Identity) {
    this.accounts = accounts;
    this.own = own;
    this.table = new AssignTable(join(home, "users"));
  }

  /** Throws LookupTrouble with the code of the report. */
  async find(local: string): Promise<UserRecord> {
    const record = this.assigned(local) ?? (await lookUpAccount(this.accounts, local));
    if (record.uid === 0) throw new LookupTrouble(NOT_AS_ROOT);
    return record;
  }

  /**
   * The user, when the files say it; undefined when system accounts are to be asked. `sameTurn`: the files
   * were looked at in this turn of the event loop already. Throws as `find` does.
   */
  assigned(local: string, sameTurn = false): UserRecord | undefined {
    const record = this.inTable(local, sameTurn);
    if (record?.uid === 0) throw new LookupTrouble(NOT_AS_ROOT);
    if (this.own.uid === 0) return record;
    if (!record) throw new LookupTrouble(NO_ALIAS_USER);
    return { ...record, uid: this.own.uid, gid: this.own.gid };
  }

  private inTable(local: string, sameTurn: boolean): UserRecord | undefined {
    try {
      return this.table.find(local, sameTurn);
    } catch (error) {
      throw new LookupTrouble(error instanceof RecordError ? LSPAWN_BUG : USERS_UNREADABLE, error);
    }
  }
}

/** Answers remembered, so that an address that gets much mail is looked up once. */
const ANSWERS_KEPT = 10_000;

/** The two files, opened anew when they change. */
class AssignTable {
  private readonly assignPath: string;
  private readonly cdbPath: string;
  /** The files as they were when `cdb` was made of one of them; undefined when they may differ unseen. */
  private seen: { readonly assign: Stats | undefined; readonly cdb: Stats | undefined } | undefined;
  private cdb: Cdb | undefined;
  private readonly answers = new Map<string, UserRecord>();

  constructor(directory: string) {
    this.assignPath = join(directory, "assign");
    this.cdbPath = join(directory, "cdb");
  }

  find(local: string, sameTurn: boolean): UserRecord | undefined {
    if (!sameTurn) this.refresh();
    const known = this.answers.get(local);
    if (known || !this.cdb) return known;
    const record = lookUpAssign(this.cdb, local);
    if (this.answers.size >= ANSWERS_KEPT) this.answers.clear();
    if (record) this.answers.set(local, record);
    return record;
  }

  private refresh(): void {
    const assign = status(this.assignPath);
    const cdb = status(this.cdbPath);
    if (this.seen && isSame(assign, this.seen.assign) && isSame(cdb, this.seen.cdb)) return;
    this.cdb?.close();
    this.cdb = undefined;
    this.answers.clear();
    this.seen = undefined;
    if (cdb && (!assign || cdb.mtimeMs >= assign.mtimeMs)) {
      this.cdb = Cdb.open(this.cdbPath);
    } else if (assign) {
      this.cdb = Cdb.of(compileAssign(readFileSync(this.assignPath, "utf8")).bytes());
    }
    if (isStill(assign) && isStill(cdb)) this.seen = { assign, cdb };
  }
}

function isStill(file: Stats | undefined): boolean {
  return !file || isSettled(file);
}

function isSame(a: Stats | undefined, b: Stats | undefined): boolean {
  return a && b ? isSameFile(a, b) : a === b;
}

function status(path: string): Stats | undefined {
  try {
    return statSync(path, { throwIfNoEntry: false });
  } catch (error) {
    if (isErrno(error, "ENOTDIR")) return undefined;
    throw error;
  }
}
