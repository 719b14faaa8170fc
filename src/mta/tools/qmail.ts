/**
 * NAME         qmail - help for every program
 * SYNOPSIS     qmail help PROGRAM
 * DESCRIPTION  Prints the manual page of a program, as does PROGRAM --help.
 * EXIT CODES   0 printed. 100 no such program, or wrong use.
 * SEE ALSO     qmail-start, qmail-inject, ezmlm-make
 */
import { PermanentError } from "../../lib/errors.ts";
import { SUCCESS } from "../../lib/exit-code.ts";
import { manualPage } from "../../lib/manual.ts";
import { OptionTable } from "../../lib/option.ts";
import type { Program } from "../../lib/program.ts";

const options = new OptionTable("qmail", [], "help PROGRAM");

export const qmail: Program = {
  name: "qmail",
  usage: options.usage,
  async run(host) {
    const [verb, name, ...more] = options.parse(host.args).rest;
    if (verb !== "help" || name === undefined || more.length > 0) throw options.error();
    const page = manualPage(host.root, name);
    if (page === undefined) {
      throw new PermanentError(`there is no manual page for ${JSON.stringify(name)}`);
    }
    host.stdout.write(page);
    return SUCCESS;
  },
};
