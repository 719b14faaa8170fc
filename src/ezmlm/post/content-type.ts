/**
 * Content-Type fields, read by their grammar: comments, quoted strings, folding and split parameters
 * (RFC 2045 5.1, RFC 2231 3), so that a comment cannot smuggle a type past a filter.
 */
import { asciiLower } from "../../lib/address.ts";

export interface ContentType {
  /** `text/plain`, lower case; "" when the field has none. */
  readonly type: string;
  /** Names in lower case. */
  readonly parameters: ReadonlyMap<string, string>;
  /** A quoted string that never ends. */
  readonly unterminated: boolean;
}

/** `value` is the unfolded text after the colon. */
export function parseContentType(value: string): ContentType {
  const { pieces, unterminated } = cut(value);
  const type = asciiLower((pieces.shift() ?? "").replace(/[ \t]+/g, ""));
  const found = new Map<string, string>();
  for (const piece of pieces) {
    const equals = piece.indexOf("=");
    if (equals < 0) continue;
    const name = asciiLower(piece.slice(0, equals).trim());
    if (name !== "" && !found.has(name)) found.set(name, piece.slice(equals + 1).trim());
  }
  return { type, parameters: joinSections(found), unterminated };
}

/** Cut at the semicolons outside of comments and quoted strings; comments vanish, quotes are taken off. */
function cut(value: string): { pieces: string[]; unterminated: boolean } {
  const pieces = [""];
  let depth = 0;
  let quoted = false;
  const append = (text: string): void => {
    pieces[pieces.length - 1] += text;
  };
  for (let at = 0; at < value.length; at++) {
    const char = value[at] as string;
    if (char === "\\" && (quoted || depth > 0)) {
      at++;
      if (quoted) append(value[at] ?? "");
    } else if (quoted) {
      if (char === '"') quoted = false;
      else append(char);
    } else if (char === "(") depth++;
    else if (char === ")" && depth > 0) depth--;
    else if (depth > 0) continue;
    else if (char === '"') quoted = true;
    else if (char === ";") pieces.push("");
    else append(char);
  }
  return { pieces, unterminated: quoted };
}

/** `boundary*0=ab; boundary*1=cd` is `boundary=abcd`. */
function joinSections(found: ReadonlyMap<string, string>): Map<string, string> {
  const joined = new Map<string, string>();
  for (const [name, value] of found) {
    const section = /^([^*]+)\*(\d{1,2})\*?$/.exec(name);
    if (!section) {
      joined.set(name.replace(/\*$/, ""), value);
      continue;
    }
    const base = section[1] as string;
    if (section[2] !== "0" || joined.has(base)) continue;
    let whole = value;
    for (let next = 1; next < 100; next++) {
      const more = found.get(`${base}*${next}`) ?? found.get(`${base}*${next}*`);
      if (more === undefined) break;
      whole += more;
    }
    joined.set(base, whole);
  }
  return joined;
}

/** A list of types as in `mimeremove`: `image`, `image/*` or `image/gif` each, without case. */
export class TypeSet {
  private readonly exact = new Set<string>();
  private readonly families = new Set<string>();

  constructor(lines: readonly string[]) {
    for (const line of lines) {
      const [family = "", subtype = ""] = asciiLower(line.trim()).split("/", 2);
      if (subtype === "" || subtype === "*") this.families.add(family);
      else this.exact.add(`${family}/${subtype}`);
    }
  }

  has(type: string): boolean {
    return this.exact.has(type) || this.families.has(type.split("/", 1)[0] as string);
  }
}
