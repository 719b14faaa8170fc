/**
 * NAME         condredirect - redirect mail to another address
 * SYNOPSIS     condredirect addr program [arg...]
 * DESCRIPTION  In a .qmail file: feeds the message to program. If that exits 0, the message goes to
 *              addr, sent from SENDER, and the rest of the .qmail file is skipped. When the delivery
 *              is tried again, mail queued already is not queued again; forward says which mail that is.
 * ENVIRONMENT  SENDER and DTLINE, set by qmail-local. TMPDIR where a message over 64 KiB that comes
 *              through a pipe is kept meanwhile (default /tmp).
 * EXIT CODES   99 redirected. 0 program said no, or cannot be found. 100 wrong usage, or a variable
 *              is missing. 111 program exited 111 or crashed, or the message cannot be queued now.
 * DIAGNOSTICS  `condredirect: qp N` on standard error.
 * SEE ALSO     forward, bouncesaying, except, qmail-local
 */
import { STOP, SUCCESS } from "../../lib/exit-code.ts";
import { OptionTable } from "../../lib/option.ts";
import type { Program } from "../../lib/program.ts";
import { holds } from "./condition.ts";
import { requeue, requireVariable } from "./requeue.ts";
import { spooled } from "./spooled.ts";

const options = new OptionTable("condredirect", [], "addr program [arg...]");

export const condredirect: Program = {
  name: "condredirect",
  usage: options.usage,
  async run(host) {
    const [address, ...argv] = options.parse(host.args).rest;
    if (address === undefined || argv.length === 0) throw options.error();
    const sender = requireVariable(host, "SENDER");
    const deliveredTo = requireVariable(host, "DTLINE");
    return spooled(host, host.stdin, async (message) => {
      if (!(await holds(host, argv, message))) return SUCCESS;
      const id = await requeue(host, message, { deliveredTo, sender, recipients: [address] });
      host.stderr.write(`condredirect: qp ${id}\n`);
      return STOP;
    });
  },
};
