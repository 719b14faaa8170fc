/**
 * NAME         maildirmake - make a maildir
 * SYNOPSIS     maildirmake dir
 * DESCRIPTION  Makes the directory with its tmp, new and cur, readable by its owner alone.
 * EXIT CODES   0 made. 100 wrong usage. 111 trouble.
 * SEE ALSO     qmail-local
 */
import { chmodSync, mkdirSync } from "node:fs";
import { join, resolve } from "node:path";
import { errorText, TemporaryError } from "../../lib/errors.ts";
import { SUCCESS } from "../../lib/exit-code.ts";
import { OptionTable } from "../../lib/option.ts";
import type { Program } from "../../lib/program.ts";

const options = new OptionTable("maildirmake", [], "dir");

export const maildirmake: Program = {
  name: "maildirmake",
  usage: options.usage,
  async run(host) {
    const [name, more] = options.parse(host.args).rest;
    if (name === undefined || more !== undefined) throw options.error();
    for (const part of ["", "tmp", "new", "cur"]) {
      const path = join(resolve(host.cwd, name), part);
      try {
        mkdirSync(path, 0o700);
        chmodSync(path, 0o700);
      } catch (error) {
        throw new TemporaryError(`unable to mkdir ${path}: ${errorText(error)}`, { cause: error });
      }
    }
    return SUCCESS;
  },
};
