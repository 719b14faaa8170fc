/**
 * Opening SQLite databases: pragmas, numbered migrations, transactions. The only file that imports
 * better-sqlite3. The schema number is `user_version`; a database written by newer code is refused
 * before anything in it changes. Local file systems only: WAL does not work over NFS.
 */
import Sqlite from "better-sqlite3";
import { isErrno, TemporaryError } from "./errors.ts";

export type Database = Sqlite.Database;
export type Statement = Sqlite.Statement;

export interface DatabaseOptions {
  /** Whether writes are refused on this connection; checkpoints still work. */
  readonly queryOnly?: boolean;
  /** FULL: a commit survives power loss. NORMAL may lose the last commits, never the file. */
  readonly synchronous?: "FULL" | "NORMAL";
  /** How long a statement waits for another connection's lock. */
  readonly busyMilliseconds?: number;
  /** Pages are checkpointed by somebody else: `autocheckpoint` off. */
  readonly checkpointElsewhere?: boolean;
}

/** One step of a schema; `number` counts from 1 without gaps. */
export interface Migration {
  readonly number: number;
  readonly sql: string;
}

/** Raised for a database whose schema is newer than this code: mail waits until the newer code is back. */
export class NewerSchemaError extends TemporaryError {}

/** Raised where the driver was compiled for another version of node: all mail waits until it is for this one. */
export class DriverError extends TemporaryError {}

function open(path: string, timeout: number): Database {
  try {
    return new Sqlite(path, { timeout });
  } catch (error) {
    if (!isErrno(error, "ERR_DLOPEN_FAILED")) throw error;
    throw new DriverError(
      "better-sqlite3 does not load in this version of node; run npm rebuild better-sqlite3 (#4.3.5)",
      { cause: error },
    );
  }
}

/** Open (and make) a database with WAL and incremental vacuum, after checking its schema number. */
export function openDatabase(
  path: string,
  migrations: readonly Migration[],
  options: DatabaseOptions = {},
): Database {
  const db = open(path, options.busyMilliseconds ?? 5000);
  try {
    const known = migrations.at(-1)?.number ?? 0;
    const found = schemaNumber(db);
    if (found > known) {
      throw new NewerSchemaError(
        `${path} was written by a newer version: schema ${found}, this code knows ${known}. (#4.3.5)`,
      );
    }
    // Takes effect only in a file without tables, so it stands before the migrations.
    if (found === 0 && !options.queryOnly) db.pragma("auto_vacuum = INCREMENTAL");
    if (!options.queryOnly) db.pragma("journal_mode = WAL");
    db.pragma(`synchronous = ${options.synchronous ?? "FULL"}`);
    db.pragma("foreign_keys = ON");
    if (options.checkpointElsewhere) db.pragma("wal_autocheckpoint = 0");
    if (options.queryOnly) db.pragma("query_only = ON");
    else migrate(db, migrations);
    return db;
  } catch (error) {
    db.close();
    throw error;
  }
}

const statements = new WeakMap<Database, Map<string, Statement>>();

/**
 * The statement with this text, compiled once per connection and kept with it. Its mode (`pluck`, `raw`)
 * stays, so each text is used in one way only; texts are constants.
 */
export function prepared(db: Database, sql: string): Statement {
  let known = statements.get(db);
  if (!known) {
    known = new Map();
    statements.set(db, known);
  }
  let statement = known.get(sql);
  if (!statement) {
    statement = db.prepare(sql);
    known.set(sql, statement);
  }
  return statement;
}

export function schemaNumber(db: Database): number {
  return Number(db.pragma("user_version", { simple: true }));
}

/** Apply what is missing, each step in a transaction of its own together with its number. */
export function migrate(db: Database, migrations: readonly Migration[]): void {
  for (const step of migrations) {
    if (step.number <= schemaNumber(db)) continue;
    db.transaction(() => {
      // Another process may have been faster while we waited for the lock.
      if (step.number <= schemaNumber(db)) return;
      db.exec(step.sql);
      db.pragma(`user_version = ${step.number}`);
    }).immediate();
  }
}

/**
 * Hold `path` (an empty database file) locked exclusively until the process ends or `close` is
 * called; undefined when another process holds it. The lock dies with its holder.
 */
export function lockExclusively(path: string): { close(): void } | undefined {
  const db = open(path, 0);
  try {
    db.exec("BEGIN EXCLUSIVE");
    return { close: () => db.close() };
  } catch (error) {
    db.close();
    if (sqliteCode(error).startsWith("SQLITE_BUSY")) return undefined;
    throw error;
  }
}

/** `SQLITE_FULL`, `SQLITE_IOERR_FSYNC` …; "" for any other error. */
export function sqliteCode(error: unknown): string {
  return error instanceof Sqlite.SqliteError ? error.code : "";
}
