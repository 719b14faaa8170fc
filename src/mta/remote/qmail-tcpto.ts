/**
 * NAME         qmail-tcpto - print addresses that do not answer
 * SYNOPSIS     qmail-tcpto
 * DESCRIPTION  Prints the table of addresses whose connections timed out, as
 *              `IP timed out N seconds ago; # recent timeouts: C`. After two timeouts an address is
 *              skipped for about an hour.
 * FILES        queue/lock/tcpto
 * EXIT CODES   0. 111 the table cannot be read.
 * SEE ALSO     qmail-tcpok, qmail-rspawn
 */
import { join } from "node:path";
import { errorText } from "../../lib/errors.ts";
import { SUCCESS, TEMPORARY } from "../../lib/exit-code.ts";
import type { Program } from "../../lib/program.ts";
import { readTimeouts, type TimeoutRecord } from "./tcpto.ts";

export const qmailTcpto: Program = {
  name: "qmail-tcpto",
  usage: "qmail-tcpto",
  async run(host) {
    let records: TimeoutRecord[];
    try {
      records = readTimeouts(join(host.home, "queue", "lock", "tcpto"));
    } catch (error) {
      host.stdout.write(`fatal: unable to read the table: ${errorText(error)}\n`);
      return TEMPORARY;
    }
    const now = Math.floor(host.now().getTime() / 1000);
    for (const { address, at, timeouts } of records) {
      host.stdout.write(
        `${address} timed out ${now - at} seconds ago; # recent timeouts: ${timeouts}\n`,
      );
    }
    return SUCCESS;
  },
};
