/**
 * The people of a list: one interface, several stores (hashed files, SQLite). A list has a main
 * database and named ones beside it: `digest allow deny mod …`. Local parts keep their case, domains
 * are stored in lower case, comparison is without case (ASCII). An entry `@domain` stands for every
 * address there. Every change that took effect is a line in the database's `Log`.
 */
import { asciiLower, splitAddress } from "../../lib/address.ts";
import { PermanentError, TemporaryError } from "../../lib/errors.ts";
import { addPacked, type Submission } from "../../lib/queue-door.ts";

export interface Change {
  /** What the Log says after `+` or `-`: "" by the user, "mod", "probe", "manual" or a tag. */
  readonly event?: string;
  /** From header or name, for the Log. */
  readonly comment?: string;
  /** Forces the hash file (std, 0..52), or marks an entry that is no subscriber (98, 99). */
  readonly hash?: number;
}

export interface Entry {
  readonly address: string;
  readonly comment?: string;
}

/** Hash slots to visit, 0..52, both ends included; for lists that share a load. */
export interface HashRange {
  readonly low: number;
  readonly high: number;
}

export interface Packing {
  readonly range?: HashRange | undefined;
  /** The byte behind each address; default NUL. */
  readonly end?: number;
  /** Entries `@domain`, too: they let a domain post and are nobody to write to. */
  readonly domains?: boolean;
  /** Only addresses behind this one, or up to it, in the order of `placeOf`. */
  readonly after?: string;
  readonly upTo?: string;
}

export interface SubscriberDb {
  /** "" for the main database. */
  readonly name: string;
  /** Whether it is read in the order of `placeOf`. */
  readonly isOrdered: boolean;
  /** The spelling stored for the address, else the `@domain` entry that covers it, else undefined. */
  has(address: string): Promise<string | undefined>;
  /** False: was there already. PermanentError: not an address. */
  add(address: string, change?: Change): Promise<boolean>;
  /** False: was not there. Removes just this entry, never the `@domain` entry that covers it. */
  remove(address: string, change?: Change): Promise<boolean>;
  /** Many at once, in few transactions; answers how many were new. */
  addAll(entries: readonly Entry[], change?: Change): Promise<number>;
  /** Many at once; answers how many were there. */
  removeAll(entries: readonly Entry[], change?: Change): Promise<number>;
  /** All addresses in batches, in the order of the store. Takes no lock; each is seen at most once. */
  each(range?: HashRange): AsyncIterable<string[]>;
  /** The same as bytes, UTF-8, some thousand addresses at a time: what a mail to a million is made of. */
  packed(packing?: Packing): AsyncIterable<Buffer>;
  count(): Promise<number>;
  /** Make what the store needs to hold this database; harmless when it is there. */
  create(): Promise<void>;
  /** Forget every entry. */
  clear(): Promise<void>;
}

/** What orders addresses, in every store: bytes of UTF-8, ASCII letters as small ones, as `NOCASE` has it. */
export function placeOf(address: string): string {
  return Buffer.from(asciiLower(address)).toString("latin1");
}

/** Whether the address is behind `after` and not behind `upTo`. */
export function isWithin(address: string, { after, upTo }: Packing): boolean {
  if (after === undefined && upTo === undefined) return true;
  const place = placeOf(address);
  return (
    (after === undefined || place > placeOf(after)) &&
    (upTo === undefined || place <= placeOf(upTo))
  );
}

/** Each of `SubscriberDb.packed` a recipient; answers whether there is one. */
export async function addSubscribers(
  submission: Submission,
  subscribers: Iterable<Buffer> | AsyncIterable<Buffer>,
): Promise<boolean> {
  let found = false;
  for await (const packed of subscribers) {
    addPacked(submission, packed);
    found = true;
    if (submission.full) await submission.drained();
  }
  return found;
}

/** Longest address, in bytes: what fits the hashed files of the originals. */
export const addressLimitBytes = 400;

/**
 * The spelling that is stored: domain in lower case. Throws PermanentError for what no database may
 * hold: no `@`, line feeds or NUL, too long. `@domain` is a legal entry.
 */
export function storedSpelling(address: string): string {
  if (isOrdinary(address)) return address;
  const { local, domain } = splitAddress(address);
  if (!address.includes("@") || domain === "") {
    throw new PermanentError("Address does not contain a @ with a domain after it. (#5.1.3)");
  }
  if (/[\n\r\0]/.test(address)) {
    throw new PermanentError("Address contains a line break or NUL. (#5.1.3)");
  }
  if (Buffer.byteLength(address) > addressLimitBytes) {
    throw new PermanentError("Address is too long. (#5.1.3)");
  }
  return `${local}@${asciiLower(domain)}`;
}

/** Nearly every address of a long list: printable ASCII, domain in lower case, one `@`. */
function isOrdinary(address: string): boolean {
  return address.length <= addressLimitBytes && /^[!-?A-~]*@[!-?[-~]+$/.test(address);
}

/** The entry that would cover a whole domain. */
export function wildcardOf(address: string): string {
  return `@${asciiLower(splitAddress(address).domain)}`;
}

/**
 * Canonical name of a database: "" and "." are the main one. Single level below DIR, so no slash
 * beyond a leading `DIR/`. Throws TemporaryError: a list file that names a bad one must not bounce mail.
 */
export function databaseName(name: string, dir: string): string {
  let bare = name.startsWith(`${dir}/`) ? name.slice(dir.length + 1) : name;
  if (name === dir) bare = "";
  bare = bare.replace(/^(\.\/)+/, "").replace(/\/+$/, "");
  if (bare === "" || bare === ".") return "";
  if (bare.includes("/") || bare === ".." || /[\n\0]/.test(bare)) {
    throw new TemporaryError("A database name may not point outside the list directory. (#4.3.5)");
  }
  return bare;
}
