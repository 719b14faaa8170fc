/**
 * Carrying out a recipe. A new list grows in a directory beside its place, is renamed there when it is
 * complete, and only then gets its addresses: a crash leaves no half list that mail could reach. A list
 * that is changed keeps every file old or new. Modes are set, not left to a umask.
 */
import {
  chmodSync,
  chownSync,
  lchownSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readlinkSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { basename, dirname, join } from "node:path";
import { fsyncDirectory, writeFileAtomic } from "../../lib/atomic-file.ts";
import { errorText, isErrno, PermanentError, TemporaryError } from "../../lib/errors.ts";
import type { Step } from "./recipe.ts";

export interface BuildPlace {
  readonly dir: string;
  readonly dot: string;
  readonly steps: readonly Step[];
  /** Who the files shall belong to; undefined: who runs us. */
  readonly owner: { readonly uid: number; readonly gid: number } | undefined;
}

/** Whether anything, a dangling link too, has this name. */
export function nameExists(path: string): boolean {
  return lstatSync(path, { throwIfNoEntry: false }) !== undefined;
}

/**
 * Make a new list. `fill` gets the directory while it is hidden: key and databases. Refuses before it
 * changes anything; whatever fails later is undone.
 */
export async function buildList(
  place: BuildPlace,
  pid: number,
  fill: (dir: string) => Promise<void>,
): Promise<void> {
  const links = place.steps.filter((step) => step.kind === "link");
  for (const path of [place.dir, ...links.map((link) => place.dot + link.suffix)]) {
    if (nameExists(path)) throw taken(path);
  }
  for (const path of [dirname(place.dir), dirname(place.dot)]) requireDirectory(path);
  const hidden = join(dirname(place.dir), `.${basename(place.dir)}.new.${pid}`);
  const made: string[] = [hidden];
  try {
    rmSync(hidden, { recursive: true, force: true });
    mkdirSync(hidden, { mode: 0o700 });
    for (const step of place.steps) if (step.kind !== "link") applyStep(hidden, step, false);
    await fill(hidden);
    if (place.owner) chownTree(hidden, place.owner);
    fsyncDirectory(hidden);
    rename(hidden, place.dir);
    made.push(place.dir);
    for (const link of links) {
      symlinkSync(join(place.dir, link.target), place.dot + link.suffix);
      made.push(place.dot + link.suffix);
      if (place.owner) lchownSync(place.dot + link.suffix, place.owner.uid, place.owner.gid);
    }
    fsyncDirectory(dirname(place.dot));
  } catch (error) {
    for (const path of made.reverse()) rmSync(path, { recursive: true, force: true });
    throw asTrouble(error, place.dir);
  }
}

/** Change a list in place. The caller holds its `lock`. Addresses first: they fail where nothing may be written. */
export function changeList(place: BuildPlace): void {
  try {
    for (const step of place.steps) {
      if (step.kind === "link") replaceLink(join(place.dir, step.target), place.dot + step.suffix);
    }
    for (const step of place.steps) if (step.kind !== "link") applyStep(place.dir, step, true);
  } catch (error) {
    throw asTrouble(error, place.dir);
  }
}

function applyStep(dir: string, step: Exclude<Step, { kind: "link" }>, edit: boolean): void {
  const path = join(dir, step.name);
  switch (step.kind) {
    case "remove":
      rmSync(path, { force: true });
      return;
    case "directory":
      if (edit && nameExists(path)) return;
      mkdirSync(path, { mode: 0o700 });
      chmodSync(path, 0o700);
      return;
    case "file": {
      if (step.onlyIfMissing && nameExists(path)) return;
      const text = step.lines.map((line) => `${line}\n`).join("");
      if (edit) writeFileAtomic(path, text, { mode: 0o600, temp: `${path}.new` });
      else writeFileSync(path, text, { mode: 0o600, flush: true });
    }
  }
}

/** One rename, so that the address is never without its file. */
function replaceLink(target: string, path: string): void {
  const status = lstatSync(path, { throwIfNoEntry: false });
  if (status?.isSymbolicLink() && readlinkSync(path) === target) return;
  const temp = `${path}.new`;
  try {
    rmSync(temp, { force: true });
    symlinkSync(target, temp);
    renameSync(temp, path);
  } catch (error) {
    throw new TemporaryError(`Unable to link ${path}: ${errorText(error)}. (#4.3.0)`, {
      cause: error,
    });
  }
}

/** rename(2) would replace an empty directory that appeared meanwhile. */
function rename(hidden: string, dir: string): void {
  if (nameExists(dir)) throw taken(dir);
  renameSync(hidden, dir);
  fsyncDirectory(dirname(dir));
}

function chownTree(path: string, owner: { uid: number; gid: number }): void {
  for (const entry of readdirSync(path, { withFileTypes: true })) {
    const inner = join(path, entry.name);
    if (entry.isDirectory()) chownTree(inner, owner);
    else lchownSync(inner, owner.uid, owner.gid);
  }
  chownSync(path, owner.uid, owner.gid);
}

function requireDirectory(path: string): void {
  let isDirectory = false;
  try {
    isDirectory = lstatSync(join(path, "."), { throwIfNoEntry: false })?.isDirectory() ?? false;
  } catch (error) {
    if (!isErrno(error, "ENOTDIR")) throw asTrouble(error, path);
  }
  if (!isDirectory) throw new PermanentError(`There is no directory ${path}. (#5.3.5)`);
}

function taken(path: string): PermanentError {
  return new PermanentError(
    `Unable to create ${path}: it exists already. Use -+ to change a list. (#5.3.5)`,
  );
}

function asTrouble(error: unknown, dir: string): Error {
  if (error instanceof PermanentError || error instanceof TemporaryError) return error;
  const where = error instanceof Error && "path" in error ? String(error.path) : dir;
  return new TemporaryError(`Unable to write ${where}: ${errorText(error)}. (#4.3.0)`, {
    cause: error,
  });
}
