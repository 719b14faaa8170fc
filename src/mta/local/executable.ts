/** Finds the file a command word names, as sh does, and tells whether it is one of our programs. */
import { accessSync, constants, statSync } from "node:fs";
import { basename } from "node:path";
import type { Environment } from "../../lib/program.ts";

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
  if (name === "" || name.includes("\0")) return undefined;
  const places = name.includes("/")
    ? [name]
    : (env.PATH ?? "").split(":").map((directory) => `${directory || "."}/${name}`);
  if (env.PATH === undefined && !name.includes("/")) return undefined;
  for (const place of places) {
    const path = place.startsWith("/") ? place : `${cwd}/${place}`;
    try {
      if (!statSync(path).isFile()) continue;
    } catch {
      continue; // not here, or not reachable: PATH goes on, as in sh
    }
    return { path, allowed: mayExecute(path) };
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
  const found = findExecutable(word, env, cwd);
  if (!found?.allowed) return undefined;
  try {
    // Device and inode, for every line of every delivery asks: real paths cost a look per directory.
    const dispatcher = statSync(`${root}/dist/main.cjs`, { bigint: true });
    const file = statSync(found.path, { bigint: true });
    const isOurs = file.ino === dispatcher.ino && file.dev === dispatcher.dev;
    return isOurs ? basename(found.path) : undefined;
  } catch {
    return undefined; // nothing built, or gone meanwhile: certainly not ours
  }
}
