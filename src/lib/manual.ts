/**
 * Manual pages: the comment a program file opens with, extracted into `dist/man/NAME` by the build.
 */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { isErrno } from "./errors.ts";

/** The page of a program; undefined when there is none of that name. */
export function manualPage(root: string, name: string): string | undefined {
  if (!/^[A-Za-z0-9.+-]+$/.test(name)) return undefined;
  try {
    return readFileSync(join(root, "dist", "man", name), "utf8");
  } catch (error) {
    if (isErrno(error, "ENOENT")) return undefined;
    throw error;
  }
}
