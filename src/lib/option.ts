/**
 * Command line options as a table: one row = letter, argument, help. From it come the parser, the
 * usage line and the OPTIONS section of the manual. Parsing as getopt: clusters (`-dD`), attached or
 * separate arguments, `--` or a lone `-` ends options, no permutation, the last one wins.
 */
import { UsageError } from "./errors.ts";

export interface OptionRow {
  readonly letter: string;
  /** Name of the argument in usage; none for a switch. */
  readonly argument?: string;
  readonly help: string;
  /** Letter that this one shares a value with: `-S` row has `negates: "s"`. */
  readonly negates?: string;
  /** Accepted and without effect, for old command lines. */
  readonly ignored?: boolean;
}

export interface ParsedOptions {
  /** true after `-x`, false after its negation, undefined when neither was given. */
  flag(letter: string): boolean | undefined;
  /** Last argument given to the letter. */
  value(letter: string): string | undefined;
  /** How often the letter stood on the command line. */
  count(letter: string): number;
  /** What is left after the options. */
  readonly rest: readonly string[];
}

/** Usage lines read `aAbB`. Not localeCompare: loading collation tables takes 6 ms, in every command. */
function rank(letter: string): string {
  const lower = letter.toLowerCase();
  return lower === letter ? `${lower}0` : `${lower}1`;
}

export class OptionTable {
  readonly program: string;
  readonly list: readonly OptionRow[];
  readonly usage: string;
  private readonly rows: ReadonlyMap<string, OptionRow>;

  /** `operands` as in a SYNOPSIS: `DIR [sub]`. */
  constructor(program: string, list: readonly OptionRow[], operands = "") {
    this.program = program;
    this.list = list;
    this.rows = new Map(list.map((row) => [row.letter, row]));
    const switches = list.filter((row) => !row.argument && !row.ignored).map((row) => row.letter);
    const ordered = switches.sort((a, b) => (rank(a) < rank(b) ? -1 : 1));
    const words = [
      program,
      ordered.length > 0 ? `[-${ordered.join("")}]` : "",
      ...list
        .filter((row) => row.argument && !row.ignored)
        .map((row) => `[-${row.letter} ${row.argument}]`),
      operands,
    ];
    this.usage = words.filter((word) => word !== "").join(" ");
  }

  /** Throws UsageError with the getopt message and the usage line. */
  parse(args: readonly string[]): ParsedOptions {
    const flags = new Map<string, boolean>();
    const values = new Map<string, string>();
    const counts = new Map<string, number>();
    let index = 0;
    for (; index < args.length; index++) {
      const word = args[index] as string;
      if (word === "--" || word === "-") {
        index++;
        break;
      }
      if (!word.startsWith("-")) break;
      for (let at = 1; at < word.length; at++) {
        const letter = word[at] as string;
        const row = this.rows.get(letter);
        if (!row) throw this.error(`illegal option -- ${letter}`);
        counts.set(letter, (counts.get(letter) ?? 0) + 1);
        if (!row.argument) {
          flags.set(row.negates ?? letter, row.negates === undefined);
          continue;
        }
        const attached = word.slice(at + 1);
        const value = attached !== "" ? attached : args[++index];
        if (value === undefined) throw this.error(`option requires an argument -- ${letter}`);
        values.set(letter, value);
        break;
      }
    }
    return {
      flag: (letter) => flags.get(letter),
      value: (letter) => values.get(letter),
      count: (letter) => counts.get(letter) ?? 0,
      rest: args.slice(index),
    };
  }

  /** An error for wrong operands; `why` may be left out. */
  error(why?: string): UsageError {
    const lead = why ? `${this.program}: ${why}\n` : "";
    return new UsageError(`${lead}${this.program}: usage: ${this.usage}`);
  }
}
