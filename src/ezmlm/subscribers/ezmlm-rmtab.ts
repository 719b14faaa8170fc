/**
 * NAME         ezmlm-rmtab - forget everybody on a list
 * SYNOPSIS     ezmlm-rmtab [-mM] [-S subdb] DIR
 * DESCRIPTION  Empties the main, allow, deny, digest and mod databases of the list in DIR. Nothing is
 *              written to the Log. The list itself stays and can get subscribers again.
 * OPTIONS      -m the store of the list (default), -M hashed files, -S a store as in DIR/subdb. -v print
 *              the version.
 * EXIT CODES   0 done. 100 wrong use or no list. 111 temporary.
 * SEE ALSO     ezmlm-make, ezmlm-unsub
 */
import { SUCCESS } from "../../lib/exit-code.ts";
import { OptionTable } from "../../lib/option.ts";
import type { Program } from "../../lib/program.ts";
import { openList } from "../list/list.ts";
import { listOwnerPath } from "../list/run-as.ts";
import { versionLine } from "../list/version.ts";
import { storeOption, storeRows } from "./change-people.ts";

const table = new OptionTable("ezmlm-rmtab", storeRows, "DIR");
const databases = ["", "allow", "deny", "digest", "mod"];

export const ezmlmRmtab: Program = {
  name: "ezmlm-rmtab",
  usage: table.usage,
  async run(host) {
    const options = table.parse(host.args);
    if (options.flag("v") !== undefined) {
      host.stderr.write(versionLine("ezmlm-rmtab"));
      return SUCCESS;
    }
    const [dir, ...rest] = options.rest;
    if (!dir || rest.length > 0) throw table.error();
    const list = await openList(host, dir);
    try {
      for (const name of databases) await list.db(name, storeOption(options)).clear();
      return SUCCESS;
    } finally {
      list.close();
    }
  },
  runAs: (host) => listOwnerPath(host.cwd, table.parse(host.args).rest[0]),
};
