/**
 * Which store holds a list's people: what `subdb` says (`std`, `sqlite`, `sqlite3:…`), else the hashed
 * files when `DIR/subscribers` is there, else `DIR/list.db`.
 */
import { statSync } from "node:fs";
import { TemporaryError } from "../../lib/errors.ts";
import type { ListDatabaseFile } from "../list/database.ts";
import { SqliteDb } from "./sqlite-db.ts";
import { StdDb } from "./std-db.ts";
import type { SubscriberDb } from "./subdb.ts";

/** What a store needs of its list. */
export interface StoreParts {
  readonly list: {
    path(...names: string[]): string;
    withLock<T>(name: string, work: () => Promise<T>): Promise<T>;
  };
  readonly files: ListDatabaseFile;
  now(): Date;
}

/** `plugin:host:port:user:password:database:table`; just the fields that matter without a server. */
export interface StoreSpec {
  readonly plugin: string;
  readonly database: string;
  readonly table: string;
}

/** Missing trailing fields take the defaults of the originals. */
export function parseStoreSpec(spec: string): StoreSpec {
  const fields = spec.split(":");
  return { plugin: fields[0] ?? "", database: fields[5] ?? "ezmlm", table: fields[6] ?? "ezmlm" };
}

/** Open database `name` (canonical) of a list; nothing is read or made yet. */
export function openSubscribers(
  parts: StoreParts,
  name: string,
  setting: string | undefined,
): SubscriberDb {
  const spec = parseStoreSpec(setting ?? defaultPlugin(parts));
  switch (spec.plugin) {
    case "std":
      return new StdDb(parts, name);
    case "sqlite":
      return new SqliteDb(parts, name);
    default:
      throw new TemporaryError(
        `The subscriber store ${JSON.stringify(spec.plugin)} is not available; std and sqlite are. (#4.3.5)`,
      );
  }
}

function defaultPlugin(parts: StoreParts): string {
  const status = statSync(parts.list.path("subscribers"), { throwIfNoEntry: false });
  return status?.isDirectory() ? "std" : "sqlite";
}
