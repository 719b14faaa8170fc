/**
 * Sections `<=LETTERS=>` of texts in the old syntax: all letters must hold. Lower case = set, upper case
 * = not set, as documented (the original tested both alike). Letters are those of ezmlm-make; ones
 * without a file always count as set. Reference ezmlm-texts.md 1.
 */
import { flagFiles } from "../list/flags.ts";
import type { ReplyList } from "./reply-list.ts";

/** Arguments of ezmlm-make and the value files that keep them. */
const argumentFiles: Readonly<Record<string, string>> = {
  "0": "sublist",
  "3": "fromheader",
  "5": "owner",
  "6": "subdb",
  "7": "modpost",
  "8": "modsub",
  "9": "remote",
};

export function sectionHolds(list: ReplyList, letters: string): boolean {
  return Array.from(letters).every((letter) => {
    const lower = letter.toLowerCase();
    const file = flagFiles[lower];
    const argument = argumentFiles[letter];
    if (argument !== undefined) return (list.line(argument) ?? "") !== "";
    if (!/[a-z]/i.test(letter)) return true;
    const isSet = file === undefined || list.has(file);
    return letter === lower ? isSet : !isSet;
  });
}
