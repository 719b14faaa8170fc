/**
 * How a program on one list starts and ends: parse the command line, answer -v, require DIR, open the
 * list, run, close the list on every path. What goes another way (a DIR that may be missing, an exit
 * before the list is opened) writes its Program itself.
 */
import type { ExitCode } from "../../lib/exit-code.ts";
import type { OptionTable, ParsedOptions } from "../../lib/option.ts";
import type { Host, Program } from "../../lib/program.ts";
import { type List, openList } from "./list.ts";
import { printVersion, wantsVersion } from "./version.ts";

/** The exit code, or what is left to do once the list is closed. */
type Ending = ExitCode | (() => Promise<ExitCode>);

interface CommandLine {
  /** Operands allowed after DIR; default none. */
  readonly operands?: number;
  /** Throws when an argument is wrong. Runs before the list is opened. */
  check?(parsed: ParsedOptions): void;
}

/** A program on the list DIR. `run` gets the open list and the operands after DIR. */
export function listProgram(
  options: OptionTable,
  run: (
    host: Host,
    list: List,
    parsed: ParsedOptions,
    operands: readonly string[],
  ) => Promise<Ending>,
  line: CommandLine = {},
): Program {
  return {
    name: options.program,
    usage: options.usage,
    runAs: (host) => options.parse(host.args).rest[0],
    async run(host) {
      const parsed = options.parse(host.args);
      if (wantsVersion(parsed)) return printVersion(host);
      const [dir, ...operands] = parsed.rest;
      if (dir === undefined || operands.length > (line.operands ?? 0)) throw options.error();
      line.check?.(parsed);
      const list = await openList(host, dir);
      let ending: Ending;
      try {
        ending = await run(host, list, parsed, operands);
      } finally {
        list.close();
      }
      return typeof ending === "function" ? ending() : ending;
    },
  };
}
