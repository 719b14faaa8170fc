/**
 * NAME         qmail-tcpok - forget which addresses do not answer
 * SYNOPSIS     qmail-tcpok
 * DESCRIPTION  Empties the table of qmail-tcpto; qmail-rspawn notices before its next connection.
 * FILES        queue/lock/tcpto
 * EXIT CODES   0. 111 the table cannot be written.
 * SEE ALSO     qmail-tcpto
 */
import { truncateSync, utimesSync } from "node:fs";
import { join } from "node:path";
import { errorText, isErrno, TemporaryError } from "../../lib/errors.ts";
import { SUCCESS } from "../../lib/exit-code.ts";
import type { Program } from "../../lib/program.ts";

export const qmailTcpok: Program = {
  name: "qmail-tcpok",
  usage: "qmail-tcpok",
  async run(host) {
    const path = join(host.home, "queue", "lock", "tcpto");
    try {
      truncateSync(path);
      // An empty file stays as it was; its time is what qmail-rspawn looks at.
      utimesSync(path, host.now(), host.now());
    } catch (error) {
      if (isErrno(error, "ENOENT")) return SUCCESS;
      throw new TemporaryError(`unable to empty ${path}: ${errorText(error)}`, { cause: error });
    }
    return SUCCESS;
  },
};
