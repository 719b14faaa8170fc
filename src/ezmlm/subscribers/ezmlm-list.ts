/**
 * NAME         ezmlm-list - show the addresses of a list
 * SYNOPSIS     ezmlm-list [-mMnN] [-S subdb] DIR [db]
 * DESCRIPTION  Prints the addresses in the main database of the list in DIR, or in db, one on a line,
 *              in the order of the store: hashed files by file, list.db by address.
 * OPTIONS      -n print their number only. -m the store of the list (default), -M hashed files, -S a store
 *              as in DIR/subdb. -v print the version.
 * EXIT CODES   0 done. 100 wrong use or no list. 111 temporary.
 * SEE ALSO     ezmlm-sub, ezmlm-unsub, ezmlm-issubn
 */
import { SUCCESS } from "../../lib/exit-code.ts";
import { OptionTable } from "../../lib/option.ts";
import { listProgram } from "../list/list-program.ts";
import { storeOption, storeRows } from "./change-people.ts";

const LINE_FEED = 10;

const table = new OptionTable(
  "ezmlm-list",
  [
    ...storeRows,
    { letter: "n", help: "number only" },
    { letter: "N", help: "addresses (default)", negates: "n" },
  ],
  "DIR [db]",
);

export const ezmlmList = listProgram(
  table,
  async (host, list, options, [name = ""]) => {
    const db = list.db(name, storeOption(options));
    if (options.flag("n")) {
      host.stdout.write(`${await db.count()}\n`);
      return SUCCESS;
    }
    for await (const lines of db.packed({ end: LINE_FEED, domains: true })) {
      host.stdout.write(lines);
      await host.stdout.flush();
    }
    return SUCCESS;
  },
  { operands: 1 },
);
