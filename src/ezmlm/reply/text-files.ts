/**
 * Where texts live, nearest first: `DIR/text`, the list's language directory, `ETC/default` (EZMLM_ETC,
 * else templates/ of the package), and at last the English ones of the package. A text is `NAME` or `NAME.hbs`. Reference ezmlm.md 2.4.
 */
import { join } from "node:path";
import { decodeCharset } from "../../lib/mime-word.ts";
import type { Host } from "../../lib/program.ts";
import { readListFile } from "../list/list-file.ts";
import type { ReplyList } from "./reply-list.ts";

type Site = Pick<Host, "env" | "root">;

/** A file as text: UTF-8 when it is that, else in the list's charset. undefined: not there. */
export function readTextFile(path: string, charset: string): string | undefined {
  const bytes = readListFile(path);
  if (!bytes) return undefined;
  const text = bytes.toString("utf8");
  if (!text.includes("\ufffd") || Buffer.from(text).equals(bytes)) return text;
  return decodeCharset(bytes, /^utf-?8$/i.test(charset) ? "latin1" : charset);
}

/** Every place for the text NAME, nearest first. */
export function textPaths(site: Site, list: ReplyList, name: string): string[] {
  const etc = site.env.EZMLM_ETC ?? join(site.root, "templates");
  const hbs = `${name}.hbs`;
  const { language } = list;
  const own = join(site.root, "templates", "en_US");
  return [
    join(list.dir, "text", name),
    join(list.dir, "text", hbs),
    ...(language === undefined
      ? []
      : [join(language, "text", name), join(language, "text", hbs), join(language, hbs)]),
    join(etc, "default", "text", name),
    join(etc, "default", "text", hbs),
    join(etc, "default", hbs),
    join(own, hbs),
    join(own, name),
  ];
}

/** The nearest file of that name with its path. */
export function findText(
  site: Site,
  list: ReplyList,
  name: string,
): { path: string; text: string } | undefined {
  for (const path of textPaths(site, list, name)) {
    const text = readTextFile(path, list.charset.name);
    if (text !== undefined) return { path, text };
  }
  return undefined;
}
