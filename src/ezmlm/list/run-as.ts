/** Whose rights root takes before it works on a list (Program.runAs). */
import { statSync } from "node:fs";
import { resolve } from "node:path";

/**
 * The list directory, so that root takes the rights of its owner; undefined (stay) when there is none or
 * when it is root's own: then root is the one uid that may open its databases.
 */
export function listOwnerPath(cwd: string, dir: string | undefined): string | undefined {
  if (!dir) return undefined;
  const path = resolve(cwd, dir);
  try {
    return statSync(path).uid === 0 ? undefined : path;
  } catch {
    return undefined;
  }
}
