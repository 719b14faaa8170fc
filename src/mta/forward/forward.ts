/**
 * NAME         forward - forward a message to some addresses
 * SYNOPSIS     forward addr...
 * DESCRIPTION  In a .qmail file: hands the message on, with a new Delivered-To line, to every addr,
 *              sent from NEWSENDER.
 * ENVIRONMENT  NEWSENDER and DTLINE, set by qmail-local. TMPDIR where a message over 64 KiB that comes
 *              through a pipe is kept until it is queued (default /tmp).
 * EXIT CODES   0 queued. 100 permanent failure, or a variable is missing. 111 temporary failure.
 * DIAGNOSTICS  `forward: qp N` on standard error.
 * SEE ALSO     condredirect, qmail-local
 */
import { SUCCESS } from "../../lib/exit-code.ts";
import { OptionTable } from "../../lib/option.ts";
import type { Program } from "../../lib/program.ts";
import { requeue, requireVariable } from "./requeue.ts";

const options = new OptionTable("forward", [], "addr...");

export const forward: Program = {
  name: "forward",
  usage: options.usage,
  async run(host) {
    const { rest } = options.parse(host.args);
    if (rest.length === 0) throw options.error();
    const sender = requireVariable(host, "NEWSENDER");
    const deliveredTo = requireVariable(host, "DTLINE");
    const id = await requeue(host, host.stdin, { deliveredTo, sender, recipients: rest });
    host.stderr.write(`forward: qp ${id}\n`);
    return SUCCESS;
  },
};
