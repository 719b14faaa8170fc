/**
 * NAME         forward - forward a message to some addresses
 * SYNOPSIS     forward addr...
 * DESCRIPTION  In a .qmail file: hands the message on, with a new Delivered-To line, to every addr,
 *              sent from NEWSENDER. When the delivery is tried again, what is queued already is not queued
 *              again: the same mail is one with the same sender, addresses, Message-ID, From, To, Cc, Subject
 *              and body, so that a filter in front may add fields that change with each run, as a time.
 * ENVIRONMENT  NEWSENDER and DTLINE, set by qmail-local. TMPDIR where a message over 64 KiB that comes
 *              through a pipe is kept until it is queued (default /tmp).
 * EXIT CODES   0 queued. 100 permanent failure, or a variable is missing. 111 temporary failure.
 * DIAGNOSTICS  `forward: qp N` on standard error.
 * BUGS         Behind a filter that changes one of these with each run, as by a new MIME boundary, mail is sent
 *              again. Two mails of one line of a .qmail file that differ only in other fields go out as one.
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
