/**
 * Databases of lists between two programs: a list post runs six, and opening SQLite costs as much CPU
 * as all they ask of it. A connection is lent to one program at a time, so that nobody meets another's
 * open query or transaction; given back it stays open for some seconds. A file that was replaced
 * meanwhile is noticed by its inode.
 */
import { statSync } from "node:fs";
import type { Database } from "../../lib/sqlite.ts";

const IDLE_MILLISECONDS = 5000;
/** More lists than this are not busy at once in one process. */
const IDLE_LIMIT = 32;

interface IdleDatabase {
  readonly db: Database;
  readonly inode: bigint;
  readonly timer: NodeJS.Timeout;
}

const idle = new Map<string, IdleDatabase>();

/** A connection that waits for this path; undefined: open one. */
export function takeIdle(path: string): Database | undefined {
  const found = idle.get(path);
  if (!found) return undefined;
  forget(path, found);
  if (found.inode === inodeOf(path)) return found.db;
  found.db.close();
  return undefined;
}

/** Keep a connection for the next program, or close it. */
export function giveBack(path: string, db: Database): void {
  const inode = inodeOf(path);
  if (!db.open) return;
  if (inode === undefined || idle.has(path) || idle.size >= IDLE_LIMIT || db.inTransaction) {
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
  idle.set(path, { db, inode, timer });
}

function forget(path: string, entry: IdleDatabase): void {
  clearTimeout(entry.timer);
  idle.delete(path);
}

function inodeOf(path: string): bigint | undefined {
  return statSync(path, { throwIfNoEntry: false, bigint: true })?.ino;
}
