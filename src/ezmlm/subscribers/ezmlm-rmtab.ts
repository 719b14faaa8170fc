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
import { listProgram } from "../list/list-program.ts";
import { storeOption, storeRows } from "./change-people.ts";

const table = new OptionTable("ezmlm-rmtab", storeRows, "DIR");
const databases = ["", "allow", "deny", "digest", "mod"];

export const ezmlmRmtab = listProgram(table, async (_host, list, options) => {
  for (const name of databases) await list.db(name, storeOption(options)).clear();
  return SUCCESS;
});
