/**
 * A moderator's comment: the lines between two lines with `%%%` in their first columns. What stands
 * before the opening mark (`> `) is a quote mark and goes from every line.
 */

/** Columns in which `%%%` may begin. */
const COLUMNS = 6;
const LINE_LIMIT = 1000;

/** Lines of the comment; none without a closing mark. */
export function moderatorComment(text: string): string[] {
  const lines = text.split("\n").map((line) => line.replace(/\r$/, ""));
  const open = lines.findIndex(isMark);
  if (open < 0) return [];
  const rest = lines.slice(open + 1);
  const close = rest.findIndex(isMark);
  if (close < 0) return [];
  const opening = lines[open] as string;
  const quote = opening.slice(0, opening.indexOf("%%%"));
  return rest.slice(0, close).map((line) => {
    const bare = line.startsWith(quote) ? line.slice(quote.length) : line.replace(/^>\s?/, "");
    return bare.slice(0, LINE_LIMIT).replace(/[^\t\P{Cc}]/gu, " ");
  });
}

function isMark(line: string): boolean {
  const at = line.indexOf("%%%");
  return at >= 0 && at < COLUMNS;
}

/** As it stands in the notice to the poster; "" without a comment. */
export function framedComment(lines: readonly string[]): string {
  if (lines.length === 0) return "";
  const rule = "-".repeat(20);
  return ["", `>>>>> ${rule} >>>>>`, ...lines, `<<<<< ${rule} <<<<<`, ""].join("\n");
}
