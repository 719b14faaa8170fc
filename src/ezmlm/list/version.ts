import { type ExitCode, SUCCESS } from "../../lib/exit-code.ts";
import type { OptionRow, ParsedOptions } from "../../lib/option.ts";
import type { Host } from "../../lib/program.ts";

/** Rows for the option tables of list programs. */
export const versionRows: readonly OptionRow[] = [
  { letter: "v", help: "print the version and stop" },
  { letter: "V", help: "as -v" },
];

export function wantsVersion(parsed: ParsedOptions): boolean {
  return parsed.flag("v") === true || parsed.flag("V") === true;
}

/** Print it, as all list programs but ezmlm-make say it; what the program exits with. Reference ezmlm.md 2.5. */
export function printVersion(host: Pick<Host, "stderr">, program = "ezmlm"): ExitCode {
  host.stderr.write(`${program} version: ezqmail-0.1.0 (ezmlm-idx-7.2.2)\n`);
  return SUCCESS;
}
