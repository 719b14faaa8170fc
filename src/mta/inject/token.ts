/**
 * Tokens of an address field: the lexical half of RFC 822 address lists, on binary strings (one char =
 * one byte). Reading consumes backslashes and the parentheses of nested comments; writing puts
 * escapes back where they are needed.
 */

export type TokenType = "atom" | "quoted" | "literal" | "comment" | "special";

export interface Token {
  readonly type: TokenType;
  /** Without delimiters and escapes; for a special its one character. */
  readonly text: string;
  /** Blanks stood before it: kept after the dots of a phrase such as `J. P. Doe`. */
  readonly spaced?: boolean;
}

const specials = ".,@<>:;";

export const special = (text: string): Token => ({ type: "special", text });

export function isSpecial(token: Token | undefined, text: string): boolean {
  return token?.type === "special" && token.text === text;
}

/** Whether two of these side by side are two things: atom, quoted string, literal. */
export function isWord(token: Token | undefined): boolean {
  return token !== undefined && token.type !== "special" && token.type !== "comment";
}

/** All tokens of `text`; undefined when something is not closed, or closed and never opened. */
export function tokenise(text: string): Token[] | undefined {
  const tokens: Token[] = [];
  for (let at = 0; at < text.length; ) {
    const char = text[at] as string;
    if (" \t\r\n".includes(char)) {
      at++;
    } else if (specials.includes(char)) {
      tokens.push(special(char));
      at++;
    } else if (char === ")" || char === "]") {
      return undefined;
    } else {
      const found = word(char, text, at);
      if (!found) return undefined;
      const spaced = at > 0 && " \t\r\n".includes(text[at - 1] as string);
      tokens.push(spaced ? { ...found.token, spaced } : found.token);
      at = found.end;
    }
  }
  return tokens;
}

function word(char: string, text: string, at: number): Found | undefined {
  if (char === "(") return comment(text, at);
  if (char === '"') return delimited(text, at, '"', "quoted");
  if (char === "[") return delimited(text, at, "]", "literal");
  return atom(text, at);
}

interface Found {
  readonly token: Token;
  readonly end: number;
}

function delimited(text: string, start: number, close: string, type: TokenType): Found | undefined {
  let content = "";
  for (let at = start + 1; at < text.length; at++) {
    const char = text[at] as string;
    if (char === close) return { token: { type, text: content }, end: at + 1 };
    if (char === "\\" && ++at >= text.length) return undefined;
    content += text[at];
  }
  return undefined;
}

function comment(text: string, start: number): Found | undefined {
  let content = "";
  let depth = 0;
  for (let at = start; at < text.length; at++) {
    const char = text[at] as string;
    if (char === "(") {
      depth++;
    } else if (char === ")") {
      if (--depth === 0) return { token: { type: "comment", text: content }, end: at + 1 };
    } else {
      if (char === "\\" && ++at >= text.length) return undefined;
      content += text[at];
    }
  }
  return undefined;
}

function atom(text: string, start: number): Found | undefined {
  let content = "";
  let at = start;
  for (; at < text.length; at++) {
    const char = text[at] as string;
    if (' \t\r\n"()[]'.includes(char) || specials.includes(char)) break;
    if (char === "\\" && ++at >= text.length) return undefined;
    content += text[at];
  }
  return { token: { type: "atom", text: content }, end: at };
}

/** Whether an atom can be written as it is. */
const plainAtom = /^[^\0- \x7f-\xff()<>[\]:;@\\,."]+$/;

/** A token as it stands in a header. */
export function tokenText({ type, text }: Token): string {
  switch (type) {
    case "special":
      return text;
    case "atom":
      return plainAtom.test(text) ? text : `"${text.replace(/[\r\n"\\]/g, "\\$&")}"`;
    case "quoted":
      return `"${text.replace(/[\r\n"\\]/g, "\\$&")}"`;
    case "literal":
      return `[${text.replace(/[\r\n[\]\\]/g, "\\$&")}]`;
    case "comment":
      return `(${text.replace(/[\r\n()\\]/g, "\\$&")})`;
  }
}

function needsSpace(before: Token, after: Token): boolean {
  if (isSpecial(before, ",") || isSpecial(before, ":")) return true;
  if (isSpecial(after, "<") || (after.spaced && isSpecial(before, "."))) return true;
  const closes = isSpecial(before, ">") || isSpecial(before, ";");
  return after.type !== "special" && (before.type !== "special" || closes);
}

const columns = 80;

/**
 * A field written from tokens: single spaces where they are needed, folded after commas so that lines
 * stay within 80 columns, continuation lines with two spaces.
 */
export function fieldFrom(name: string, tokens: readonly Token[]): string {
  const lines: string[] = [];
  let line = `${name}:`;
  let piece = "";
  let first = true;
  const place = (): void => {
    if (first || line.length + 1 + piece.length <= columns) {
      line += ` ${piece}`;
    } else {
      lines.push(line);
      line = `  ${piece}`;
    }
    first = false;
    piece = "";
  };
  for (const [at, token] of tokens.entries()) {
    const before = tokens[at - 1];
    if (piece !== "" && before && needsSpace(before, token)) piece += " ";
    piece += tokenText(token);
    if (isSpecial(token, ",")) place();
  }
  if (piece !== "") place();
  return [...lines, line].join("\n");
}

/** The address that address tokens (no comments) stand for, as in an envelope. */
export function addressFrom(tokens: readonly Token[]): string {
  return tokens.map((token) => (token.type === "literal" ? tokenText(token) : token.text)).join("");
}
