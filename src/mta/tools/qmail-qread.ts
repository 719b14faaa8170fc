/**
 * NAME         qmail-qread - list what is in the queue
 * SYNOPSIS     qmail-qread
 * DESCRIPTION  For each message date, number, size and sender, then one line for
 *              each recipient, those that are done marked so. Asks the running
 *              server; needs the rights of root or of the owner of the queue.
 * FILES        queue/admin
 * EXIT CODES   0 done. 100 wrong use. 111 no server to ask.
 * SEE ALSO     qmail-send, qmail-qstat
 */
import { OptionTable } from "../../lib/option.ts";
import type { Program } from "../../lib/program.ts";
import { askServer } from "./admin-client.ts";

const options = new OptionTable("qmail-qread", []);

export const qmailQread: Program = {
  name: "qmail-qread",
  usage: options.usage,
  async run(host) {
    if (options.parse(host.args).rest.length > 0) throw options.error();
    return askServer(host, "qread");
  },
};
