/**
 * Posts that wait: `mod/pending` for a moderator, `mod/unconfirmed` for their sender, as files
 * `TS.PID`. A file is complete when its owner-exec bit is set. A decision leaves an empty stub of the
 * same name in `mod/accepted` or `mod/rejected`; while it is being carried out the stub holds the
 * key of the delivery that does it (`-` outside of one), so that a second decision does not do it
 * again.
 * Reference ezmlm-formats.md 7. Changes happen under `mod/lock` (confirmations: `mod/confirmlock`).
 */
import {
  closeSync,
  existsSync,
  fchmodSync,
  fsyncSync,
  mkdirSync,
  openSync,
  readFileSync,
  rmSync,
  statSync,
} from "node:fs";
import { quoteAddress } from "../../lib/address.ts";
import { fsyncDirectory, writeFileAtomic } from "../../lib/atomic-file.ts";
import { errorText, isErrno, TemporaryError } from "../../lib/errors.ts";
import { fieldBytes, findField, type HeaderField, headerBytes } from "../../lib/header.ts";
import { fileInput } from "../../lib/message-input.ts";
import { writeAllSync } from "../../lib/write-all.ts";
import { type IncomingMessage, readIncoming } from "./incoming.ts";

export type Room = "pending" | "unconfirmed";
export type Decision = "accepted" | "rejected";

interface HasPath {
  path(...names: string[]): string;
}

const places = ["pending", "unconfirmed", "accepted", "rejected"] as const;

/** A name nobody has: `TS.PID`, counted up from the process number. */
export function freeName(list: HasPath, seconds: number, pid: number): string {
  for (let number = pid; ; number++) {
    const name = `${seconds}.${number}`;
    if (!places.some((place) => existsSync(list.path("mod", place, name)))) return name;
  }
}

/** Whether the post is there, whole. */
export function isWaiting(list: HasPath, room: Room, name: string): boolean {
  const stats = statSync(list.path("mod", room, name), { throwIfNoEntry: false });
  return stats?.isFile() === true && (stats.mode & 0o100) !== 0;
}

/** Put a post into a room. Complete and on disk when it resolves. */
export async function storeWaiting(
  list: HasPath,
  room: Room,
  name: string,
  post: { readonly sender: string; readonly mark: HeaderField; readonly message: IncomingMessage },
): Promise<void> {
  const directory = list.path("mod", room);
  const path = list.path("mod", room, name);
  try {
    mkdirSync(directory, { recursive: true, mode: 0o700 });
    const fd = openSync(path, "w", 0o644);
    try {
      writeAllSync(fd, `Return-Path: <${headerAddress(post.sender)}>\n`);
      writeAllSync(fd, headerBytes([post.mark, ...post.message.fields]));
      writeAllSync(fd, "\n");
      for await (const chunk of post.message.body()) {
        writeAllSync(fd, chunk);
      }
      fsyncSync(fd);
      fchmodSync(fd, 0o700);
      fsyncSync(fd);
    } finally {
      closeSync(fd);
    }
    fsyncDirectory(directory);
  } catch (error) {
    rmSync(path, { force: true });
    throw new TemporaryError(`Unable to write ${path}: ${errorText(error)}. (#4.3.0)`, {
      cause: error,
    });
  }
}

/** Envelope sender of a stored post, from its first line. */
export async function storedSender(path: string): Promise<string> {
  const message = await readIncoming(fileInput(path));
  await message.close();
  const field = findField(message.fields, "Return-Path");
  if (!field) return "";
  const value = Buffer.from(fieldBytes(field), "latin1").toString("utf8");
  const address = /^<(.*)>$/s.exec(value)?.[1] ?? value;
  // The originals write it without quotes.
  const [, local, rest = ""] = /^"(.*)"(@[^"]*)?$/s.exec(address) ?? [];
  return local === undefined ? address : `${local.replace(/\\(.)/gs, "$1")}${rest}`;
}

/** The address as it stands in a header. */
export function headerAddress(sender: string): string {
  return quoteAddress(sender.replace(/[\0\r\n]/g, "_"));
}

/** In a stub: somebody began whom nobody will run again. */
export const BY_HAND = "-";

/** Whether the post was decided on and the decision carried out. */
export function isDecided(list: HasPath, name: string): boolean {
  return decision(list, "accepted", name) === "" || decision(list, "rejected", name) === "";
}

/** Who is at it: undefined nobody, "" it is done, else the delivery that began. */
export function decision(list: HasPath, kind: Decision, name: string): string | undefined {
  try {
    return readFileSync(list.path("mod", kind, name), "utf8");
  } catch (error) {
    if (isErrno(error, "ENOENT")) return undefined;
    throw new TemporaryError(`Unable to read mod/${kind}: ${errorText(error)}. (#4.3.0)`, {
      cause: error,
    });
  }
}

/** Begin a decision (`key` of the delivery) or end it (""). */
export function writeDecision(list: HasPath, kind: Decision, name: string, key: string): void {
  try {
    mkdirSync(list.path("mod", kind), { recursive: true, mode: 0o700 });
    const temp = list.path("mod", kind, `.${name}`);
    writeFileAtomic(list.path("mod", kind, name), key, { mode: 0o600, temp });
  } catch (error) {
    throw new TemporaryError(`Unable to write mod/${kind}: ${errorText(error)}. (#4.3.0)`, {
      cause: error,
    });
  }
}

export function dropDecision(list: HasPath, kind: Decision, name: string): void {
  rmSync(list.path("mod", kind, name), { force: true });
}

export function removeWaiting(list: HasPath, room: Room, name: string): void {
  rmSync(list.path("mod", room, name), { force: true });
}
