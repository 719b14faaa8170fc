/**
 * NAME         predate - put a Date field before a message
 * SYNOPSIS     predate child [arg ...]
 * DESCRIPTION  Runs child with a Date field in the local time zone followed by
 *              what is read from standard input.
 * ENVIRONMENT  TZ the local time zone. PATH where child is found.
 * EXIT CODES   As child. 100 wrong use. 111 child cannot be run or crashed.
 * SEE ALSO     datemail, qmail-inject
 */
import { errorText, TemporaryError } from "../../lib/errors.ts";
import { TEMPORARY } from "../../lib/exit-code.ts";
import { OptionTable } from "../../lib/option.ts";
import type { Host, Program } from "../../lib/program.ts";
import { prefixedInput } from "./prefixed-input.ts";

const options = new OptionTable("predate", [], "child [arg ...]");
const months = "Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec".split(" ");
const two = (n: number): string => String(n).padStart(2, "0");

/** `Date: D Mon YYYY HH:MM:SS +zzzz` and LF, in the zone of this process. */
export function localDateField(now: Date): string {
  const ahead = -now.getTimezoneOffset();
  const zone = `${ahead < 0 ? "-" : "+"}${two(Math.floor(Math.abs(ahead) / 60))}${two(Math.abs(ahead) % 60)}`;
  const day = `${now.getDate()} ${months[now.getMonth()]} ${now.getFullYear()}`;
  const time = [now.getHours(), now.getMinutes(), now.getSeconds()].map(two).join(":");
  return `Date: ${day} ${time} ${zone}\n`;
}

/** Our input with the Date field in front. */
export function datedInput(host: Host) {
  return prefixedInput(localDateField(host.now()), host.stdin);
}

export const predate: Program = {
  name: "predate",
  usage: options.usage,
  async run(host) {
    const [child, ...args] = options.parse(host.args).rest;
    if (child === undefined) throw options.error();
    try {
      const status = await host.commands.exec([child, ...args], { stdin: datedInput(host) });
      return status.signal === undefined ? status.code : TEMPORARY;
    } catch (error) {
      throw new TemporaryError(`unable to run ${child}: ${errorText(error)}`, { cause: error });
    }
  },
};
