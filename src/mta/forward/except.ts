/**
 * NAME         except - reverse the exit code of a program
 * SYNOPSIS     except program [arg...]
 * DESCRIPTION  In a .qmail file: feeds the message to program, and succeeds where it fails.
 * EXIT CODES   100 program exited 0, or wrong usage. 111 program exited 111 or crashed. 0 any other
 *              end, also when program cannot be found.
 * SEE ALSO     bouncesaying, condredirect, qmail-local
 */
import { PERMANENT, SUCCESS } from "../../lib/exit-code.ts";
import { OptionTable } from "../../lib/option.ts";
import type { Program } from "../../lib/program.ts";
import { holds } from "./condition.ts";

const options = new OptionTable("except", [], "program [arg...]");

export const except: Program = {
  name: "except",
  usage: options.usage,
  async run(host) {
    const argv = options.parse(host.args).rest;
    if (argv.length === 0) throw options.error();
    return (await holds(host, argv, host.stdin)) ? PERMANENT : SUCCESS;
  },
};
