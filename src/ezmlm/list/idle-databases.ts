/**
 * Databases of lists between two programs: a list post runs six, and opening SQLite costs as much CPU
 * as all they ask of it. A connection is lent to one program at a time, so that nobody meets another's
 * open query or transaction; given back it stays open for some seconds. A file that was replaced since it
 * was opened is noticed by its inode.
 */
import { statSync } from "node:fs";
import type { Database } from "../../lib/sqlite.ts";

const IDLE_MILLISECONDS = 5000;
/** More lists than this are not busy at once in one process. */
const IDLE_LIMIT = 32;

interface IdleDatabase {
  readonly db: Database;
  readonly timer: NodeJS.Timeout;
}

const idle = new Map<string, IdleDatabase>();
/** The file behind each connection that may be kept. */
const files = new WeakMap<Database, string>();

/** `open` a database that may be kept. */
export function openKeepable(path: string, open: () => Database): Database {
  // Before it is opened: a file that comes between the two is then taken for another one.
  const file = fileAt(path);
  const db = open();
  if (file !== undefined) files.set(db, file);
  return db;
}

/** A connection that waits for this path; undefined: open one. */
export function takeIdle(path: string): Database | undefined {
  const found = idle.get(path);
  if (!found) return undefined;
  forget(path, found);
  if (isBehind(found.db, path)) return found.db;
  found.db.close();
  return undefined;
}

/** Keep a connection for the next program, or close it. */
export function giveBack(path: string, db: Database): void {
  if (!db.open) return;
  if (!isBehind(db, path) || idle.has(path) || idle.size >= IDLE_LIMIT || db.inTransaction) {
    db.close();
    return;
  }
  const timer = setTimeout(() => {
    const found = idle.get(path);
    if (found?.db !== db) return;
    forget(path, found);
    db.close();
  }, IDLE_MILLISECONDS);
  timer.unref();
  idle.set(path, { db, timer });
}

function forget(path: string, entry: IdleDatabase): void {
  clearTimeout(entry.timer);
  idle.delete(path);
}

/** Whether `path` still names the file this connection was opened on. */
function isBehind(db: Database, path: string): boolean {
  const file = files.get(db);
  return file !== undefined && file === fileAt(path);
}

function fileAt(path: string): string | undefined {
  const status = statSync(path, { throwIfNoEntry: false, bigint: true });
  return status && `${status.dev}:${status.ino}`;
}
