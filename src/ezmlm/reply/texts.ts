/**
 * Texts of a list: found, filled, with a final line feed. A file in Handlebars uses the names of
 * tags.ts; any other file is in the tag syntax of ezmlm (`<#A#>`, `<=dA=>` sections, `!A`, `#`
 * comments). Texts are bodies, never header fields; the message catalogue gives single lines for
 * subjects and errors. Reference ezmlm-texts.md 1-3.
 */
import { PermanentError } from "../../lib/errors.ts";
import type { Host } from "../../lib/program.ts";
import { renderTemplate } from "../../lib/template.ts";
import type { ReplyList } from "./reply-list.ts";
import { sectionHolds } from "./section.ts";
import { type TextTags, tagValue, templateContext } from "./tags.ts";
import { findText, readTextFile, textPaths } from "./text-files.ts";

export type { TextTags } from "./tags.ts";

type Site = Pick<Host, "env" | "root">;

/** The text NAME (`sub-ok`) for one reader. Throws PermanentError when there is no such text. */
export function renderText(site: Site, list: ReplyList, name: string, tags: TextTags): string {
  const found = findText(site, list, name);
  if (!found) throw new PermanentError(`Unable to find the text "${name}". (#5.3.5)`);
  const { path, text } = found;
  return fillText(list, text, tags, path, path.endsWith(".hbs") || undefined);
}

/**
 * Fill the source of a text; an error calls it `what`. A file without `.hbs` is a Handlebars one when it
 * has `{{` and no old tag.
 */
export function fillText(
  list: ReplyList,
  source: string,
  tags: TextTags,
  what: string,
  isHandlebars = source.includes("{{") && !/<#.#>|^<=.*=>$/m.test(source),
): string {
  const filled = isHandlebars
    ? renderTemplate(source, templateContext(list, tags, source), what)
    : fillOldText(list, source, tags);
  return filled === "" || filled.endsWith("\n") ? filled : `${filled}\n`;
}

function fillOldText(list: ReplyList, source: string, tags: TextTags): string {
  let shown = true;
  let out = "";
  const lines = source.split("\n");
  if (lines.at(-1) === "") lines.pop();
  for (const line of lines) {
    if (line.startsWith("#")) continue;
    const section = /^<=(.*)=>\r?$/.exec(line);
    if (section) {
      shown = sectionHolds(list, section[1] ?? "");
      continue;
    }
    if (!shown) continue;
    if (line.startsWith("!A")) out += `   ${tagValue(list, tags, "A")}\n`;
    else if (line.startsWith("!R")) out += `   ${tagValue(list, tags, "R")}\n`;
    else out += `${fillTags(list, line, tags)}\n`;
  }
  return out;
}

function fillTags(
  list: ReplyList,
  line: string,
  tags: TextTags,
  params: readonly string[] = [],
): string {
  return line.replace(/<#(.)#>/gsu, (_all, letter: string) =>
    /\d/.test(letter) ? (params[Number(letter)] ?? "") : (tagValue(list, tags, letter) ?? ""),
  );
}

/** One line from the message catalogue. `<#0#>` is the key, `<#1#>`… are `params`; unknown keys answer themselves. */
export function catalogue(site: Site, list: ReplyList, key: string, ...params: string[]): string {
  return catalogueFor(site, list, {}, key, ...params);
}

/** The same for the addresses of one database. */
export function catalogueFor(
  site: Site,
  list: ReplyList,
  tags: TextTags,
  key: string,
  ...params: string[]
): string {
  const line = messageLine(site, list, key);
  return line === undefined ? key : fillTags(list, line, tags, [key, ...params]);
}

function messageLine(site: Site, list: ReplyList, key: string): string | undefined {
  for (const path of textPaths(site, list, "messages")) {
    if (path.endsWith(".hbs")) continue;
    const text = `\n${readTextFile(path, list.charset.name) ?? ""}`;
    const mark = `\n${key}:`;
    const at = text.indexOf(mark);
    if (at < 0) continue;
    const line = text.slice(at + mark.length).split("\n", 1)[0] ?? "";
    // A header line may not bring in what a stranger wrote.
    return line.replaceAll(/<#[At]#>/g, "").trimEnd();
  }
  return undefined;
}
