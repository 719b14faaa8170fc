/**
 * Which .qmail file controls an address, and whether it may be obeyed. An extension reaches a file
 * name only lower-cased and with every dot replaced, so that no address climbs out of the home.
 * Whatever looks half-edited or open to others defers the mail. qmail reference 4.1, 4.2, 4.6.
 */
import { statSync } from "node:fs";
import { asciiLower, isBounceSender } from "../../lib/address.ts";
import { errorText, PermanentError, TemporaryError } from "../../lib/errors.ts";
import { cannotOpen, type DotQmailFiles, isUnknowable, WORLD_WRITABLE } from "./dot-qmail-files.ts";

const STICKY = 0o1000;

export interface DotQmail {
  /** Relative to the home; undefined when no file exists and the address is the bare user's. */
  readonly name: string | undefined;
  readonly text: Buffer;
  /** The owner-execute bit: only forwards are allowed. */
  readonly forwardOnly: boolean;
  /** What `default` in the file name stands for, in original case. */
  readonly default: string | undefined;
}

/** The extension as it stands in a file name. */
export function safeExtension(ext: string): string {
  return asciiLower(ext).replaceAll(".", ":");
}

/** File names to try, best first, with the part of `ext` that `default` stands for. */
export function dotQmailNames(dash: string, ext: string): { name: string; default?: string }[] {
  const safe = safeExtension(ext);
  const names: { name: string; default?: string }[] = [
    safe.endsWith("default") && (safe === "default" || safe.endsWith("-default"))
      ? { name: `.qmail${dash}${safe}`, default: ext.slice(ext.length - 7) }
      : { name: `.qmail${dash}${safe}` },
  ];
  for (let at = safe.length; at >= 0; at--) {
    if (at > 0 && safe[at - 1] !== "-") continue;
    names.push({ name: `.qmail${dash}${safe.slice(0, at)}default`, default: ext.slice(at) });
  }
  return names;
}

/** Checks of the home directory. Returns a warning for a dry run on a sticky one. */
export function checkHome(home: string, dryRun: boolean): string | undefined {
  let mode: number;
  try {
    const status = statSync(home);
    if (!status.isDirectory()) throw new TemporaryError("not a directory");
    mode = status.mode;
  } catch (error) {
    throw new TemporaryError(`Unable to switch to ${home}: ${errorText(error)}. (#4.3.0)`, {
      cause: error,
    });
  }
  if (mode & WORLD_WRITABLE) {
    throw new TemporaryError("Uh-oh: home directory is writable. (#4.7.0)");
  }
  if (!(mode & STICKY)) return undefined;
  if (dryRun) return "Warning: home directory is sticky.";
  throw new TemporaryError("Home directory is sticky: user is editing his .qmail file. (#4.2.1)");
}

/** Find and read the file for `ext`. PermanentError when there is no such mailbox. */
export function findDotQmail(
  home: string,
  dash: string,
  ext: string,
  files: DotQmailFiles,
): DotQmail {
  for (const { name, default: rest } of dotQmailNames(dash, ext)) {
    const file = files.read(home, name);
    if (file) return { text: file.text, forwardOnly: file.forwardOnly, name, default: rest };
  }
  if (dash !== "") throw new PermanentError("Sorry, no mailbox here by that name. (#5.1.1)");
  return { name: undefined, text: Buffer.alloc(0), forwardOnly: false, default: undefined };
}

/** The sender of forwards: the list owner when `.qmail…-owner` exists, VERP with `-owner-default`. */
export function forwardSender(
  home: string,
  address: { dash: string; ext: string; local: string; domain: string; sender: string },
): string {
  if (isBounceSender(address.sender)) return address.sender;
  const owner = `.qmail${address.dash}${safeExtension(address.ext)}-owner`;
  if (!exists(home, owner)) return address.sender;
  return exists(home, `${owner}-default`)
    ? `${address.local}-owner-@${address.domain}-@[]`
    : `${address.local}-owner@${address.domain}`;
}

function exists(home: string, name: string): boolean {
  try {
    return statSync(`${home}/${name}`, { throwIfNoEntry: false }) !== undefined;
  } catch (error) {
    if (isUnknowable(error)) throw cannotOpen(name, error);
    return false;
  }
}
