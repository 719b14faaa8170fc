/**
 * NAME         ezmlm-unsub - remove addresses from a list
 * SYNOPSIS     ezmlm-unsub [-mMnNH] [-h hash] [-S subdb] [-t tag] DIR [db] [address [name]]...
 * DESCRIPTION  Removes the addresses from the main database of the list in DIR, or from db: digest, allow,
 *              deny, mod or another directory of DIR. A second argument without @ is a db. Without addresses
 *              reads them from standard input, one on a line; blank lines and lines that start with # are
 *              skipped. Nobody is asked or told. Who is not there costs no Log line.
 * OPTIONS      -n every address has a name beside it (on standard input after a space, tab or comma),
 *              which goes to the Log. -t what the Log says after the sign; default manual. -h force the
 *              hash. -m the store of the list (default), -M hashed files, -S a store as in DIR/subdb.
 *              -v print the version.
 * FILES        DIR/list.db or DIR/subscribers, DIR/Log, DIR/lock; DIR/db/…
 * EXIT CODES   0 done. 100 wrong use, no list, or not an address (lines of standard input that are none
 *              are named on standard error, the others are done). 111 temporary.
 * SEE ALSO     ezmlm-sub, ezmlm-list, ezmlm-make
 */
import { changeProgram } from "./change-people.ts";

export const ezmlmUnsub = changeProgram("ezmlm-unsub", (db, entries, change) =>
  db.removeAll(entries, change),
);
