/**
 * Value files of a list: what `prefix`, `headerremove`, `msgsize` … say. Blanks at line ends go, empty
 * lines and `#` comments are dropped, `<#x#>` tags are filled in header mode: no tag may bring in what
 * a stranger wrote, so `<#A#>` and `<#t#>` are refused. Reference ezmlm.md 2.4, ezmlm-texts.md 1.
 */
import { quoteLocal } from "../../lib/address.ts";
import { TemporaryError } from "../../lib/errors.ts";

/** What tags in a value file stand for. */
export interface ValueTags {
  readonly local: string;
  readonly host: string;
  /** DIR as given on the command line. */
  readonly dirArgument: string;
  /** `digest`, `allow`, `deny`: changes `<#l#>` to `LOCAL-digest` …; others leave it alone. */
  readonly db?: string;
  /** `<#n#>` */
  readonly number?: number;
}

/** Decode as UTF-8 when it is, else byte by byte, so that nothing turns into U+FFFD. */
export function decodeText(bytes: Buffer): string {
  const text = bytes.toString("utf8");
  return text.includes("\ufffd") && !Buffer.from(text).equals(bytes)
    ? bytes.toString("latin1")
    : text;
}

/** Local part of the list, or of one of its addressable databases: `joe-list-digest`. */
export function databaseLocal(local: string, db: string | undefined): string {
  return db === "digest" || db === "allow" || db === "deny" ? `${local}-${db}` : local;
}

/** Fill `<#x#>`; throws TemporaryError on a tag that is not safe here. */
export function fillValueTags(text: string, tags: ValueTags): string {
  return text.replace(/<#(.)#>/gsu, (_all, letter: string) => {
    switch (letter) {
      case "L":
        return quoteLocal(tags.local);
      case "l":
        return quoteLocal(databaseLocal(tags.local, tags.db));
      case "h":
      case "H":
        return tags.host;
      case "d":
        return tags.dirArgument;
      case "n":
        return tags.number === undefined ? "?????" : String(tags.number);
      case "A":
      case "t":
        throw new TemporaryError(
          "A list file uses the tag <#A#> or <#t#>, which is not allowed in headers and settings. (#4.3.5)",
        );
      default:
        return "";
    }
  });
}

/** The lines a value file means. */
export function valueLines(bytes: Buffer, tags: ValueTags): string[] {
  return decodeText(bytes)
    .split("\n")
    .map((line) => line.replace(/[ \t\r]+$/, ""))
    .filter((line) => line !== "" && !line.startsWith("#"))
    .map((line) => fillValueTags(line, tags));
}
