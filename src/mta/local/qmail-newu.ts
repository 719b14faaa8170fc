/**
 * NAME         qmail-newu - prepare address assignments for qmail-lspawn
 * SYNOPSIS     qmail-newu
 * DESCRIPTION  Compiles users/assign into users/cdb, replacing it in one step. qmail-lspawn reads an
 *              assign file that is newer than the cdb by itself; compiling it makes look-ups in a
 *              large file cheap.
 * FILES        users/assign, users/cdb, users/cdb.tmp
 * EXIT CODES   0 done. 111 trouble; users/cdb is as before.
 * SEE ALSO     qmail-lspawn, qmail-getpw
 */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { errorText, TemporaryError } from "../../lib/errors.ts";
import { SUCCESS } from "../../lib/exit-code.ts";
import { OptionTable } from "../../lib/option.ts";
import type { Program } from "../../lib/program.ts";
import { AssignError, compileAssign } from "./assign.ts";

const options = new OptionTable("qmail-newu", []);

export const qmailNewu: Program = {
  name: "qmail-newu",
  usage: options.usage,
  async run(host) {
    if (options.parse(host.args).rest.length > 0) throw options.error();
    const directory = join(host.home, "users");
    let text: string;
    try {
      text = readFileSync(join(directory, "assign"), "utf8");
    } catch (error) {
      throw new TemporaryError(`unable to read users/assign: ${errorText(error)}`, {
        cause: error,
      });
    }
    try {
      compileAssign(text).replace(join(directory, "cdb"), join(directory, "cdb.tmp"));
    } catch (error) {
      const why =
        error instanceof AssignError
          ? error.message
          : `unable to write users/cdb: ${errorText(error)}`;
      throw new TemporaryError(why, { cause: error });
    }
    return SUCCESS;
  },
};
