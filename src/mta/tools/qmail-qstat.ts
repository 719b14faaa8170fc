/**
 * NAME         qmail-qstat - count what is in the queue
 * SYNOPSIS     qmail-qstat
 * DESCRIPTION  Prints how many messages are in the queue, and how many of them
 *              qmail-send has not looked at yet. Asks the running server; needs
 *              the rights of root or of the owner of the queue.
 * FILES        queue/admin
 * EXIT CODES   0 done. 100 wrong use. 111 no server to ask.
 * SEE ALSO     qmail-send, qmail-qread
 */
import { OptionTable } from "../../lib/option.ts";
import type { Program } from "../../lib/program.ts";
import { askServer } from "./admin-client.ts";

const options = new OptionTable("qmail-qstat", []);

export const qmailQstat: Program = {
  name: "qmail-qstat",
  usage: options.usage,
  async run(host) {
    if (options.parse(host.args).rest.length > 0) throw options.error();
    return askServer(host, "qstat");
  },
};
