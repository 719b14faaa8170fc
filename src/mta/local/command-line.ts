/**
 * The closed shell grammar of program lines (design D2). A line is either understood completely, with
 * the meaning `/bin/sh -c` gives it, or not at all (undefined): then the whole line is sh's business.
 * When in doubt the answer is undefined. The differential tests against the real shell prove it.
 *
 *     list     = and-or *( ";" and-or ) [ ";" ]
 *     and-or   = term *( ( "&&" | "||" ) term )
 *     term     = [ "!" ] ( if | simple )
 *     if       = "if" list "then" list *( "elif" list "then" list ) [ "else" list ] "fi"
 *     simple   = word *word
 *
 * Words: plain characters, '…', "…", \c, and $NAME of the variables qmail-local sets itself; other
 * expansions, redirections, pipes, assignments, patterns, newlines and comments are not understood.
 */
import type { Environment } from "../../lib/program.ts";
import { deliveryVariables } from "./command-env.ts";

export type List = readonly AndOr[];

export interface AndOr {
  readonly first: Term;
  readonly rest: readonly { readonly operator: "&&" | "||"; readonly term: Term }[];
}

export interface Term {
  readonly negated: boolean;
  readonly command: If | Simple;
}

export interface If {
  readonly kind: "if";
  readonly branches: readonly { readonly condition: List; readonly body: List }[];
  readonly otherwise: List | undefined;
}

export interface Simple {
  readonly kind: "simple";
  /** At least one; expanded. */
  readonly words: readonly string[];
}

interface Token {
  readonly text: string;
  readonly kind: "operator" | "word";
  /** No part of it was quoted or expanded: it may be a reserved word. */
  readonly plain: boolean;
}

/** Understand a line, with the variables it will run with; undefined: leave it to sh. */
export function parseCommandLine(line: string, env: Environment): List | undefined {
  try {
    const tokens = tokenize(line, env);
    const parser = new Parser(tokens);
    return parser.whole();
  } catch (error) {
    if (error instanceof NotUnderstood) return undefined;
    throw error;
  }
}

class NotUnderstood extends Error {}

// ---- words ------------------------------------------------------------------------------------

/** Characters that mean themselves anywhere in an unquoted word, in every shell. */
const plainCharacter = /[A-Za-z0-9_./:@%+,=-]/;
/** What an unquoted expansion may hold, so that neither splitting nor patterns can touch it. */
const plainValue = /^[A-Za-z0-9_./:@%+,=-]+$/;
const variable = /^\$(?:([A-Z][A-Z0-9]*)(?![A-Za-z0-9_])|\{([A-Z][A-Z0-9]*)\})/;

function tokenize(line: string, env: Environment): Token[] {
  const tokens: Token[] = [];
  let at = 0;
  while (at < line.length) {
    const c = line[at] as string;
    if (c === " " || c === "\t") {
      at++;
    } else if (c === ";") {
      if (line[at + 1] === ";") throw new NotUnderstood();
      tokens.push({ text: ";", kind: "operator", plain: true });
      at++;
    } else if (line.startsWith("&&", at) || line.startsWith("||", at)) {
      tokens.push({ text: line.slice(at, at + 2), kind: "operator", plain: true });
      at += 2;
    } else {
      const word = readWord(line, at, env);
      tokens.push(word.token);
      at = word.end;
    }
  }
  return tokens;
}

function readWord(line: string, start: number, env: Environment): { token: Token; end: number } {
  let text = "";
  let plain = true;
  let at = start;
  const lone = /^[![\]](?=[ \t;&|]|$)/.exec(line.slice(at, at + 2));
  if (lone) return { token: { text: lone[0], kind: "word", plain: true }, end: at + 1 };
  while (at < line.length) {
    const c = line[at] as string;
    if (plainCharacter.test(c)) {
      text += c;
      at++;
    } else if (c === "'") {
      const end = line.indexOf("'", at + 1);
      if (end < 0) throw new NotUnderstood();
      text += checked(line.slice(at + 1, end));
      plain = false;
      at = end + 1;
    } else if (c === '"') {
      const quoted = readDoubleQuoted(line, at + 1, env);
      text += quoted.text;
      plain = false;
      at = quoted.end;
    } else if (c === "\\" && at + 1 < line.length) {
      const escaped = String.fromCodePoint(line.codePointAt(at + 1) as number);
      text += checked(escaped);
      plain = false;
      at += 1 + escaped.length;
    } else if (c === "$") {
      const { value, end } = expand(line, at, env);
      if (!plainValue.test(value)) throw new NotUnderstood();
      text += value;
      plain = false;
      at = end;
    } else if (/[ \t;&|]/.test(c)) {
      break;
    } else {
      throw new NotUnderstood();
    }
  }
  if (at === start) throw new NotUnderstood();
  return { token: { text, kind: "word", plain }, end: at };
}

function readDoubleQuoted(
  line: string,
  start: number,
  env: Environment,
): { text: string; end: number } {
  let text = "";
  for (let at = start; at < line.length; ) {
    const c = line[at] as string;
    if (c === '"') return { text: checked(text), end: at + 1 };
    if (c === "`") throw new NotUnderstood();
    if (c === "\\") {
      const next = line[at + 1] ?? "";
      // POSIX 2.2.3: in double quotes a backslash keeps its place before anything else.
      text += /[$`"\\]/.test(next) && next !== "" ? next : c + next;
      if (next === "\n") throw new NotUnderstood();
      at += 1 + next.length;
    } else if (c === "$") {
      const { value, end } = expand(line, at, env);
      text += value;
      at = end;
    } else {
      text += c;
      at++;
    }
  }
  throw new NotUnderstood();
}

/** Only variables that qmail-local sets: a shell gives others a value of its own (PWD, IFS, UID…). */
function expand(line: string, at: number, env: Environment): { value: string; end: number } {
  const match = variable.exec(line.slice(at, at + 40));
  const name = match?.[1] ?? match?.[2];
  if (!match || !name || !deliveryVariables.has(name)) throw new NotUnderstood();
  return { value: checked(env[name] ?? ""), end: at + match[0].length };
}

/** Control characters are where shells differ most. */
function checked(text: string): string {
  for (let at = 0; at < text.length; at++) {
    const code = text.charCodeAt(at);
    if ((code < 32 && code !== 9 && code !== 10) || code === 127) throw new NotUnderstood();
  }
  return text;
}

// ---- structure --------------------------------------------------------------------------------

/** Words with a meaning of their own at the start of a command, in sh or in a shell that plays it. */
const reserved = new Set(
  "if then elif else fi do done case esac while until for in function select time coproc { } ! [[ ]]".split(
    " ",
  ),
);

class Parser {
  private readonly tokens: readonly Token[];
  private at = 0;

  constructor(tokens: readonly Token[]) {
    this.tokens = tokens;
  }

  whole(): List {
    const list = this.list();
    if (this.at < this.tokens.length) throw new NotUnderstood();
    return list;
  }

  private isOperator(...texts: string[]): boolean {
    const token = this.tokens[this.at];
    return token?.kind === "operator" && texts.includes(token.text);
  }

  private isReserved(...texts: string[]): boolean {
    const token = this.tokens[this.at];
    return token?.kind === "word" && token.plain && texts.includes(token.text);
  }

  private expectReserved(text: string): void {
    if (!this.isReserved(text)) throw new NotUnderstood();
    this.at++;
  }

  private list(): List {
    const list = [this.andOr()];
    while (this.isOperator(";")) {
      this.at++;
      if (this.at === this.tokens.length || this.isReserved("then", "elif", "else", "fi")) break;
      list.push(this.andOr());
    }
    return list;
  }

  private andOr(): AndOr {
    const first = this.term();
    const rest: { operator: "&&" | "||"; term: Term }[] = [];
    while (this.isOperator("&&", "||")) {
      const operator = this.tokens[this.at++]?.text === "&&" ? "&&" : "||";
      rest.push({ operator, term: this.term() });
    }
    return { first, rest };
  }

  private term(): Term {
    const negated = this.isReserved("!");
    if (negated) this.at++;
    return { negated, command: this.isReserved("if") ? this.if() : this.simple() };
  }

  private if(): If {
    this.at++;
    const branches = [this.branch()];
    let otherwise: List | undefined;
    while (this.isReserved("elif")) {
      this.at++;
      branches.push(this.branch());
    }
    if (this.isReserved("else")) {
      this.at++;
      otherwise = this.list();
    }
    this.expectReserved("fi");
    return { kind: "if", branches, otherwise };
  }

  private branch(): { condition: List; body: List } {
    const condition = this.list();
    this.endOfList();
    this.expectReserved("then");
    const body = this.list();
    this.endOfList();
    return { condition, body };
  }

  /** A reserved word that ends a list must follow `;`, which `list` has eaten. */
  private endOfList(): void {
    const before = this.tokens[this.at - 1];
    if (before?.kind !== "operator" || before.text !== ";") throw new NotUnderstood();
  }

  private simple(): Simple {
    const first = this.tokens[this.at];
    if (first?.kind !== "word") throw new NotUnderstood();
    if (first.plain && reserved.has(first.text)) throw new NotUnderstood();
    // An assignment, or a word some shell might take for one.
    if (/^[A-Za-z_][A-Za-z0-9_]*\+?=/.test(first.text)) throw new NotUnderstood();
    const words: string[] = [];
    for (let token = this.tokens[this.at]; token?.kind === "word"; token = this.tokens[this.at]) {
      words.push(token.text);
      this.at++;
    }
    return { kind: "simple", words };
  }
}
