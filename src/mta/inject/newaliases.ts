/**
 * NAME         newaliases - there is no alias database to rebuild
 * SYNOPSIS     newaliases
 * DESCRIPTION  Says so. Aliases are .qmail files of the alias user; an
 *              aliases file needs the package fastforward.
 * EXIT CODES   100 always.
 * SEE ALSO     sendmail
 */
import { PERMANENT } from "../../lib/exit-code.ts";
import type { Program } from "../../lib/program.ts";

export const newaliases: Program = {
  name: "newaliases",
  usage: "newaliases",
  async run(host) {
    host.stderr.write("sendmail: fatal: please use fastforward/newaliases instead\n");
    return PERMANENT;
  },
};
