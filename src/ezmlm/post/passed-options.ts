/** Options that one program of a post's way hands on to the next. */
import type { OptionRow, ParsedOptions } from "../../lib/option.ts";

/** Letters that ezmlm-send understands, each with its opposite in upper case. */
export const forSend: readonly string[] = ["c", "r"];

/** Rows for a letter and its opposite. */
export function optionPair(letter: string, help: string): OptionRow[] {
  return [
    { letter, help },
    { letter: letter.toUpperCase(), help, negates: letter },
  ];
}

/** Those of these letters that were given, the last word of each pair. */
export function passedOptions(parsed: ParsedOptions, letters: readonly string[]): string[] {
  return letters.flatMap((letter) => {
    const flag = parsed.flag(letter);
    return flag === undefined ? [] : [`-${flag ? letter : letter.toUpperCase()}`];
  });
}

/** What of its options a program hands to ezmlm-send. */
export function sendOptions(parsed: ParsedOptions): string[] {
  return passedOptions(parsed, forSend);
}
