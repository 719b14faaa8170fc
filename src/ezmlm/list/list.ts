/**
 * An open list directory: its address, key, switches, value files, locks and databases. Everything a
 * list program does starts with `openList` and ends with `close`. Look-up of values and texts: DIR,
 * LANGDIR (`language`), the site (`EZMLM_ETC/default`), ours (`templates/en_US`);
 * flags, key, counters and people are DIR's alone. Reference ezmlm.md 2.4, 2.5.
 */
import { AsyncLocalStorage } from "node:async_hooks";
import { existsSync, type Stats, statSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import { errorText, isErrno, PermanentError, TemporaryError } from "../../lib/errors.ts";
import { lockFile } from "../../lib/lock.ts";
import type { Host } from "../../lib/program.ts";
import { openSubscribers } from "../subscribers/open.ts";
import { databaseName, type SubscriberDb } from "../subscribers/subdb.ts";
import { type ListDatabase, ListDatabaseFile } from "./database.ts";
import { legacyFlag, parseConfig, parseFlagString } from "./flags.ts";
import { readListFile } from "./list-file.ts";
import { databaseLocal, valueLines } from "./value-file.ts";

/** What `<#l#>` and `<#n#>` mean while a value file is read. */
export interface ReadTags {
  readonly db?: string;
  readonly number?: number;
}

export interface ListCharset {
  readonly name: string;
  /** `Q` quoted-printable, `B` base64, "" as it is. */
  readonly encoding: "" | "Q" | "B";
}

export interface List {
  /** Absolute. */
  readonly dir: string;
  /** As given on the command line, for `<#d#>`. */
  readonly dirArgument: string;
  readonly local: string;
  readonly host: string;
  /** `local@host` */
  readonly address: string;
  readonly key: Buffer;
  readonly listId: string | undefined;
  readonly charset: ListCharset;
  /**
   * LANGDIR, absolute: what the first line of `DIR/ezmlmrc` that is no comment names, or the directory of
   * the recipe it names; undefined: none. Relative names begin at `dir`.
   */
  readonly language: string | undefined;
  /** Directories of the look-up, in order; the first is `dir`. */
  readonly lookup: readonly string[];
  /** State of ours beside the people. */
  readonly store: ListDatabase;
  /** Inside `dir`. */
  path(...names: string[]): string;
  /** Local part, or of a database people can write to: `joe-list-digest`. */
  localFor(db?: string): string;
  /** Whether a flag is set: its file exists, or legacy `flags` or `config` says so. */
  has(flag: string): boolean;
  /** First line a value file means; undefined: no file, or nothing in it. */
  line(name: string, tags?: ReadTags): string | undefined;
  /** All lines a value file means; undefined: no file. */
  lines(name: string, tags?: ReadTags): string[] | undefined;
  /** Leading number of a value file; undefined: no file or no number. */
  numberLine(name: string): number | undefined;
  /** The path the look-up finds: `text/help`, `charset` …; undefined: none. */
  find(name: string): string | undefined;
  /** Bytes of what the look-up finds, tags untouched. */
  rawText(name: string): Buffer | undefined;
  /**
   * Run `work` with a lock of the list: `lock`, `mod/lock`, `lockbounce` … Within itself the same
   * name is no deadlock, so a program may change people while it holds `lock`.
   */
  withLock<T>(name: string, work: () => Promise<T>): Promise<T>;
  /**
   * A database of people: "" or "." main, `digest allow deny mod` or another directory name. `spec`
   * (form of the `subdb` file) names another store than the list's own.
   */
  db(name?: string, spec?: string): SubscriberDb;
  close(): void;
}

type ListHost = Pick<Host, "cwd" | "env" | "root" | "uid" | "signal" | "now" | "process">;

/**
 * Open the list in `dir` (resolved against cwd). Throws TemporaryError when it cannot be entered,
 * PermanentError when key, outlocal or outhost are missing: then it is no list.
 */
export async function openList(host: ListHost, dir: string): Promise<List> {
  return new ListDirectory(host, dir);
}

class ListDirectory implements List {
  readonly dir: string;
  readonly dirArgument: string;
  readonly local: string;
  readonly host: string;
  readonly address: string;
  readonly key: Buffer;
  readonly listId: string | undefined;
  readonly charset: ListCharset;
  readonly language: string | undefined;
  readonly lookup: readonly string[];
  readonly store: ListDatabaseFile;
  private readonly caller: ListHost;
  private readonly legacy: ReadonlyMap<string, boolean> | undefined;
  private readonly held = new AsyncLocalStorage<ReadonlySet<string>>();
  private readonly databases = new Map<string, SubscriberDb>();

  constructor(host: ListHost, dir: string) {
    this.caller = host;
    this.dirArgument = dir;
    this.dir = resolve(host.cwd, dir);
    if (!isDirectory(this.dir)) {
      const why = status(this.dir) ? "not a directory" : "there is no such directory";
      throw new TemporaryError(`Unable to switch to ${this.dir}: ${why}. (#4.3.5)`);
    }
    this.store = new ListDatabaseFile(this.dir, host.uid, host.process === undefined);
    const key = this.own("key");
    // Anybody could make the cookies of a list with an empty key.
    this.key = key && key.length > 0 ? key : missing(this.path("key"));
    this.host = this.ownLine("outhost") ?? missing(this.path("outhost"));
    this.local = this.ownLine("outlocal") ?? missing(this.path("outlocal"));
    this.address = `${this.local}@${this.host}`;
    this.language = languageDirectory(this.dir, this.ownLine("ezmlmrc"));
    this.lookup = lookupPath(this.dir, this.language, host);
    this.legacy = this.legacyFlags();
    this.listId = this.line("listid")?.trim();
    this.charset = parseCharset(this.line("charset") ?? "utf-8");
  }

  path(...names: string[]): string {
    return join(this.dir, ...names);
  }

  localFor(db?: string): string {
    return databaseLocal(this.local, db);
  }

  has(flag: string): boolean {
    return legacyFlag(this.legacy, flag) ?? existsSync(this.path(flag));
  }

  line(name: string, tags: ReadTags = {}): string | undefined {
    return this.lines(name, tags)?.[0];
  }

  lines(name: string, tags: ReadTags = {}): string[] | undefined {
    const bytes = this.rawText(name);
    const { local, host, dirArgument } = this;
    return bytes && valueLines(bytes, { local, host, dirArgument, ...tags });
  }

  numberLine(name: string): number | undefined {
    const digits = /^\s*(\d+)/.exec(this.line(name) ?? "")?.[1];
    return digits === undefined ? undefined : Number(digits);
  }

  find(name: string): string | undefined {
    return this.lookup.map((dir) => join(dir, name)).find((path) => isFile(path));
  }

  rawText(name: string): Buffer | undefined {
    for (const dir of this.lookup) {
      const bytes = readListFile(join(dir, name));
      if (bytes) return bytes;
    }
    return undefined;
  }

  async withLock<T>(name: string, work: () => Promise<T>): Promise<T> {
    const held = this.held.getStore();
    if (held?.has(name)) return work();
    const lock = await lockFile(this.path(name), { signal: this.caller.signal });
    try {
      return await this.held.run(new Set([...(held ?? []), name]), work);
    } finally {
      lock.release();
    }
  }

  db(name = "", spec?: string): SubscriberDb {
    const bare = databaseName(name, this.dir);
    const key = `${bare}\n${spec ?? ""}`;
    let db = this.databases.get(key);
    if (!db) {
      const setting = spec ?? this.line("subdb") ?? prefixed("sql:", this.line("sql"));
      const parts = { list: this, files: this.store, now: () => this.caller.now() };
      db = openSubscribers(parts, bare, setting);
      this.databases.set(key, db);
    }
    return db;
  }

  close(): void {
    // An enabled storage taxes every promise of the process, and nothing else ever switches it off.
    this.held.disable();
    this.store.close();
  }

  /** A file of DIR itself. */
  private own(name: string): Buffer | undefined {
    return readListFile(this.path(name));
  }

  private ownLine(name: string): string | undefined {
    const line = this.own(name)
      ?.toString("utf8")
      .split("\n")
      .map((text) => text.trim())
      .find((text) => text !== "" && !text.startsWith("#"));
    return line;
  }

  private legacyFlags(): ReadonlyMap<string, boolean> | undefined {
    const flags = this.own("flags");
    if (flags) return parseFlagString(flags.toString("latin1"));
    const config = parseConfig(this.own("config")?.toString("latin1") ?? "").get("F");
    return config === undefined ? undefined : parseFlagString(config);
  }
}

function languageDirectory(dir: string, ezmlmrc: string | undefined): string | undefined {
  if (!ezmlmrc) return undefined;
  const path = resolve(dir, ezmlmrc);
  return isDirectory(path) ? path : dirname(path);
}

/** DIR, LANGDIR, site, ours. */
function lookupPath(
  dir: string,
  language: string | undefined,
  host: Pick<Host, "env" | "root">,
): string[] {
  const dirs = language === undefined ? [dir] : [dir, language];
  if (host.env.EZMLM_ETC) dirs.push(resolve(host.env.EZMLM_ETC, "default"));
  dirs.push(join(host.root, "templates", "en_US"));
  return dirs;
}

function parseCharset(value: string): ListCharset {
  const match = /^(.*?)(?::([QBqb])?.*)?$/s.exec(value);
  const encoding = (match?.[2] ?? "").toUpperCase();
  return {
    name: match?.[1] || "utf-8",
    encoding: encoding === "Q" || encoding === "B" ? encoding : "",
  };
}

function prefixed(prefix: string, text: string | undefined): string | undefined {
  return text === undefined ? undefined : `${prefix}${text}`;
}

function missing(path: string): never {
  throw new PermanentError(`${path} is missing or empty: not a list directory. (#5.3.5)`);
}

function isDirectory(path: string): boolean {
  return status(path)?.isDirectory() ?? false;
}

function isFile(path: string): boolean {
  return status(path)?.isFile() ?? false;
}

function status(path: string): Stats | undefined {
  try {
    return statSync(path, { throwIfNoEntry: false });
  } catch (error) {
    if (isErrno(error, "ENOTDIR")) return undefined;
    throw new TemporaryError(`Unable to look at ${path}: ${errorText(error)}. (#4.3.0)`, {
      cause: error,
    });
  }
}
