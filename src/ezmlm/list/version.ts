import { type ExitCode, SUCCESS } from "../../lib/exit-code.ts";
import type { OptionRow, ParsedOptions } from "../../lib/option.ts";
import type { Host } from "../../lib/program.ts";

/** What `-v` and `-V` print on stderr. */
export function versionLine(program: string): string {
  return `${program} version: ezqmail-0.1.0 (ezmlm-idx-7.2.2)\n`;
}

/** Rows for the option tables of list programs. */
export const versionRows: readonly OptionRow[] = [
  { letter: "v", help: "print the version and stop" },
  { letter: "V", help: "as -v" },
];

export function wantsVersion(parsed: ParsedOptions): boolean {
  return parsed.flag("v") === true || parsed.flag("V") === true;
}

/** Print it for a list program; what it exits with. */
export function printVersion(host: Pick<Host, "stderr">): ExitCode {
  host.stderr.write(versionLine("ezmlm"));
  return SUCCESS;
}
