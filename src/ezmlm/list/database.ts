/**
 * `DIR/list.db`: the people of a list that has no hashed files, and what a list remembers beside its
 * text files. Opened when first needed and by the owner of DIR alone: a file made by root would lock
 * the owner out. All SQL about lists stands here and in `subscribers/sqlite-db.ts`.
 */
import { closeSync, openSync, statfsSync, statSync } from "node:fs";
import { join } from "node:path";
import { errorText, isErrno, PermanentError, TemporaryError } from "../../lib/errors.ts";
import {
  type Database,
  type Migration,
  openDatabase,
  prepared,
  type Statement,
} from "../../lib/sqlite.ts";
import { giveBack, openKeepable, takeIdle } from "./idle-databases.ts";

/** What a post got before it was queued, so that a re-run of the same delivery uses it again. */
export interface PostReservation {
  readonly number: number;
  /** Cumulative size of the list including this post, in the units of `num`. */
  readonly cumulative: number;
  /** The subscriber that ends its first part; undefined: it has no parts. */
  readonly mark?: string;
}

/** A post in mod/pending or mod/unconfirmed. */
export interface WaitingPost {
  readonly name: string;
  /** Whether the mail that asks about it is queued. */
  readonly asked: boolean;
}

type SqlValue = string | number | null;

export interface ListDatabase {
  /** The reservation made under this delivery key; undefined: none, or the list keeps no database. */
  reservedPost(key: string): PostReservation | undefined;
  /** The highest number ever reserved, and when. */
  lastReservedPost(): (PostReservation & { readonly seconds: number }) | undefined;
  /** Durable when it returns. Under the list's `lock`. */
  reservePost(key: string, post: PostReservation, seconds: number): void;
  /** Drop reservations and waiting posts older than this; a delivery lives a week. */
  forgetPosts(beforeSeconds: number): void;
  /** What became of the post this delivery brought, as far as it had to wait. */
  waitingPost(key: string): WaitingPost | undefined;
  /** Durable when it returns. Under `mod/lock`. */
  noteWaitingPost(key: string, post: WaitingPost, seconds: number): void;
  /** The open file for tables of other list programs; throws TemporaryError where WAL cannot work. */
  open(): Database;
}

const migrations: readonly Migration[] = [
  {
    number: 1,
    sql: `
CREATE TABLE subscriber (
  db TEXT NOT NULL,                         -- '' main, digest, allow, deny, mod …
  address TEXT NOT NULL COLLATE NOCASE,     -- NOCASE folds ASCII letters only
  slot INTEGER NOT NULL DEFAULT -1,         -- forced hash; above 52: no subscriber
  PRIMARY KEY (db, address)
) WITHOUT ROWID;
CREATE TABLE post (
  key TEXT PRIMARY KEY,                     -- delivery that brought it
  number INTEGER NOT NULL,
  cumulative INTEGER NOT NULL,
  at INTEGER NOT NULL                       -- seconds
) WITHOUT ROWID;
CREATE INDEX post_at ON post (at);
`,
  },
  {
    number: 2,
    sql: `
CREATE TABLE waiting_post (
  key TEXT PRIMARY KEY,                     -- delivery that brought it
  name TEXT NOT NULL,                       -- file in mod/pending or mod/unconfirmed
  asked INTEGER NOT NULL,                   -- 1: moderators or sender have been written to
  at INTEGER NOT NULL                       -- seconds
) WITHOUT ROWID;
`,
  },
  { number: 3, sql: "CREATE INDEX post_number ON post (number);" },
  // The subscriber that ends the first part of a post in two mails.
  { number: 4, sql: "ALTER TABLE post ADD COLUMN mark TEXT;" },
];

/** File systems on which locks or shared memory cannot be trusted: NFS, SMB, CIFS, AFS. */
const remoteFileSystems = new Set([0x6969, 0x517b, 0xff534d42, 0xfe534d42, 0x5346414f]);

/** Whether WAL may be used in this directory. */
export function isLocalDirectory(dir: string): boolean {
  try {
    return !remoteFileSystems.has(Number(statfsSync(dir).type) >>> 0);
  } catch {
    return true;
  }
}

/**
 * SQLite would ask the umask for the mode; its side files copy ours. A file that is there is not opened: closing
 * any descriptor of it drops the locks of every connection of this process (sqlite.org/howtocorrupt.html, 2.2).
 */
function makePrivate(path: string): void {
  try {
    closeSync(openSync(path, "wx", 0o600));
  } catch (error) {
    if (!isErrno(error, "EEXIST")) throw error;
  }
}

function openNew(path: string, steps: readonly Migration[]): Database {
  makePrivate(path);
  return openKeepable(path, () => openDatabase(path, steps, { busyMilliseconds: 30_000 }));
}

/** Opens `DIR/list.db` on demand; one per open list. */
export class ListDatabaseFile implements ListDatabase {
  private readonly dir: string;
  private readonly uid: number;
  private readonly keepsOpen: boolean;
  private db: Database | undefined;
  private local: boolean | undefined;
  private readonly files = new Map<string, Database>();

  /** `keepsOpen`: the process goes on and may want the file again soon. */
  constructor(dir: string, uid: number, keepsOpen: boolean) {
    this.dir = dir;
    this.uid = uid;
    this.keepsOpen = keepsOpen;
  }

  open(): Database {
    this.db ??= this.openFile("list.db", migrations);
    return this.db;
  }

  /** Another database file of the list; the same one on every call. */
  openFile(name: string, steps: readonly Migration[]): Database {
    const open = this.files.get(name);
    if (open) return open;
    const path = join(this.dir, name);
    try {
      const owner = statSync(this.dir).uid;
      if (owner !== this.uid) {
        throw new TemporaryError(
          `${this.dir} belongs to uid ${owner}; only that uid may open its database. (#4.3.5)`,
        );
      }
      if (!this.isLocal()) {
        throw new TemporaryError(
          `${this.dir} is on a network file system; make the list with ezmlm-make -6 std. (#4.3.5)`,
        );
      }
      const db = takeIdle(path) ?? openNew(path, steps);
      this.files.set(name, db);
      return db;
    } catch (error) {
      if (error instanceof TemporaryError || error instanceof PermanentError) throw error;
      throw new TemporaryError(`Unable to open ${path}: ${errorText(error)}. (#4.3.0)`, {
        cause: error,
      });
    }
  }

  reservedPost(key: string): PostReservation | undefined {
    const row = this.get<{ number: number; cumulative: number; mark: string | null }>(
      "SELECT number, cumulative, mark FROM post WHERE key = ?",
      key,
    );
    if (!row) return undefined;
    const { mark, ...post } = row;
    return mark === null ? post : { ...post, mark };
  }

  lastReservedPost(): (PostReservation & { readonly seconds: number }) | undefined {
    return this.get(
      "SELECT number, cumulative, at AS seconds FROM post ORDER BY number DESC LIMIT 1",
    );
  }

  reservePost(key: string, post: PostReservation, seconds: number): void {
    const { number, cumulative, mark = null } = post;
    this.run(
      "INSERT OR REPLACE INTO post (key, number, cumulative, at, mark) VALUES (?, ?, ?, ?, ?)",
      ...[key, number, cumulative, seconds, mark],
    );
  }

  forgetPosts(beforeSeconds: number): void {
    this.run("DELETE FROM post WHERE at < ?", beforeSeconds);
    this.run("DELETE FROM waiting_post WHERE at < ?", beforeSeconds);
  }

  waitingPost(key: string): WaitingPost | undefined {
    const row = this.get<{ name: string; asked: number }>(
      "SELECT name, asked FROM waiting_post WHERE key = ?",
      key,
    );
    return row && { name: row.name, asked: row.asked === 1 };
  }

  noteWaitingPost(key: string, post: WaitingPost, seconds: number): void {
    this.run(
      "INSERT OR REPLACE INTO waiting_post (key, name, asked, at) VALUES (?, ?, ?, ?)",
      ...[key, post.name, post.asked ? 1 : 0, seconds],
    );
  }

  close(): void {
    for (const [name, db] of this.files) {
      if (this.keepsOpen) giveBack(join(this.dir, name), db);
      // A command ends here, and SQLite tidies up its side files only when it is told.
      else db.close();
    }
    this.files.clear();
    this.db = undefined;
  }

  private get<Row>(sql: string, ...values: SqlValue[]): Row | undefined {
    return this.statement(sql)?.get(...values) as Row | undefined;
  }

  private run(sql: string, ...values: SqlValue[]): void {
    this.statement(sql)?.run(...values);
  }

  /** A list of hashed files on a network file system keeps no state here. */
  private statement(sql: string): Statement | undefined {
    return this.isLocal() ? prepared(this.open(), sql) : undefined;
  }

  private isLocal(): boolean {
    this.local ??= isLocalDirectory(this.dir);
    return this.local;
  }
}
