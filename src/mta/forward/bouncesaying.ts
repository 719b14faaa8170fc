/**
 * NAME         bouncesaying - perhaps bounce each incoming message
 * SYNOPSIS     bouncesaying error [program [arg...]]
 * DESCRIPTION  In a .qmail file: feeds the message to program. If that exits 0, or without a program,
 *              prints error and bounces the message.
 * EXIT CODES   100 bounced, or wrong usage. 0 program said no, or cannot be found. 111 program exited
 *              111 or crashed.
 * SEE ALSO     condredirect, except, qmail-local
 */
import { PERMANENT, SUCCESS } from "../../lib/exit-code.ts";
import { OptionTable } from "../../lib/option.ts";
import type { Program } from "../../lib/program.ts";
import { holds } from "./condition.ts";

const options = new OptionTable("bouncesaying", [], "error [program [arg...]]");

export const bouncesaying: Program = {
  name: "bouncesaying",
  usage: options.usage,
  async run(host) {
    const [text, ...argv] = options.parse(host.args).rest;
    if (text === undefined) throw options.error();
    if (argv.length > 0 && !(await holds(host, argv, host.stdin))) return SUCCESS;
    host.stdout.write(`${text}\n`);
    return PERMANENT;
  },
};
