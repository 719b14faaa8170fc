/**
 * NAME         qmail-newmrh - prepare morercpthosts for qmail-smtpd
 * SYNOPSIS     qmail-newmrh
 * DESCRIPTION  Compiles control/morercpthosts into control/morercpthosts.cdb, replacing it in one
 *              step. Keys are lower-cased; trailing blanks, comments and empty lines are dropped.
 *              A running qmail-smtpd sees the new file with the next connection.
 * FILES        control/morercpthosts, control/morercpthosts.cdb, control/morercpthosts.tmp
 * EXIT CODES   0 done. 100 wrong use. 111 trouble; control/morercpthosts.cdb is as before.
 * SEE ALSO     qmail-smtpd, qmail-newu
 */
import { join } from "node:path";
import { CdbWriter } from "../../lib/cdb.ts";
import { Control } from "../../lib/control.ts";
import { errorText, TemporaryError } from "../../lib/errors.ts";
import { SUCCESS } from "../../lib/exit-code.ts";
import { OptionTable } from "../../lib/option.ts";
import type { Program } from "../../lib/program.ts";

const options = new OptionTable("qmail-newmrh", []);

export const qmailNewmrh: Program = {
  name: "qmail-newmrh",
  usage: options.usage,
  async run(host) {
    if (options.parse(host.args).rest.length > 0) throw options.error();
    const hosts = new Control(host.home).set("morercpthosts");
    if (!hosts) throw new TemporaryError("unable to read control/morercpthosts: no such file");
    const cdb = new CdbWriter();
    for (const name of hosts) cdb.add(name, "");
    const path = join(host.home, "control", "morercpthosts");
    try {
      cdb.replace(`${path}.cdb`, `${path}.tmp`);
    } catch (error) {
      const why = `unable to write control/morercpthosts.cdb: ${errorText(error)}`;
      throw new TemporaryError(why, { cause: error });
    }
    return SUCCESS;
  },
};
