/** Finds the file a command word names, as sh does, and tells whether it is one of our programs. */
import { accessSync, constants, type Stats, statSync } from "node:fs";
import { basename } from "node:path";
import type { Environment } from "../../lib/program.ts";
import { isSameFile } from "../../lib/same-file.ts";

export interface Executable {
  readonly path: string;
  /** Whether we may run it. */
  readonly allowed: boolean;
}

/** The first regular file of that name in PATH, or the file itself when the name has a slash. */
export function findExecutable(
  name: string,
  env: Environment,
  cwd: string,
): Executable | undefined {
  const found = findFile(name, env, cwd);
  return found && { path: found.path, allowed: mayExecute(found.path) };
}

interface Found {
  readonly path: string;
  readonly status: Stats;
}

function findFile(name: string, env: Environment, cwd: string): Found | undefined {
  if (name === "" || name.includes("\0")) return undefined;
  const places = name.includes("/")
    ? [name]
    : (env.PATH ?? "").split(":").map((directory) => `${directory || "."}/${name}`);
  if (env.PATH === undefined && !name.includes("/")) return undefined;
  for (const place of places) {
    const path = place.startsWith("/") ? place : `${cwd}/${place}`;
    try {
      const status = statSync(path, { throwIfNoEntry: false });
      if (status?.isFile()) return { path, status };
    } catch {
      // not reachable: PATH goes on, as in sh
    }
  }
  return undefined;
}

function mayExecute(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

/** The dispatcher of `root` as it was when we last might execute it. */
let known: { readonly root: string; readonly status: Stats } | undefined;

/**
 * The name of our program behind a command word: the file it leads to is our dispatcher. Anything else
 * of that name, such as another installation in /usr/local/bin, stays what it is.
 */
export function ourProgramName(
  word: string,
  env: Environment,
  cwd: string,
  root: string,
): string | undefined {
  const found = findFile(word, env, cwd);
  return found && isDispatcher(found, root) ? basename(found.path) : undefined;
}

/** A post asks for a dozen words: one look at the file each is all it costs while nothing changes. */
function isDispatcher({ path, status }: Found, root: string): boolean {
  if (known?.root === root && isSameFile(known.status, status)) return true;
  try {
    const dispatcher = statSync(`${root}/dist/main.cjs`);
    if (!isSameFile(dispatcher, status) || !mayExecute(path)) return false;
  } catch {
    return false; // nothing built, or gone meanwhile: certainly not ours
  }
  known = { root, status };
  return true;
}
