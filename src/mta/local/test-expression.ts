/**
 * The `test` command (`[`) as far as every shell agrees on it: operands that look like an operator
 * are not understood, so no rule about ambiguous expressions is ever needed. POSIX test(1).
 */
import { accessSync, constants, lstatSync, type Stats, statSync } from "node:fs";

/** Answers true or false when asked; relative paths are resolved against `cwd`. */
export type Test = (cwd: string) => boolean;

const unary = new Set(["-n", "-z", "-f", "-d", "-e", "-s", "-r", "-w", "-x", "-h", "-L"]);
/** Operands that could be taken for something else. */
const ambiguous = /^(?:-[A-Za-z]{1,2}|[!()<>=]|!=|==|=~|\]|\[\[?)$/;

/** `words` after `test`, or between `[` and `]`. Undefined: leave it to the shell. */
export function parseTest(words: readonly string[]): Test | undefined {
  if (words.length === 0) return () => false;
  // POSIX: with four words `!` negates all of `x -a y`, with more only x.
  if (words.length === 4 && words[0] === "!" && /^-[ao]$/.test(words[2] ?? "")) return undefined;
  let at = 0;
  const operand = (): string | undefined => {
    const word = words[at];
    if (word === undefined || ambiguous.test(word)) return undefined;
    at++;
    return word;
  };
  const primary = (): Test | undefined => {
    const word = words[at];
    if (word !== undefined && unary.has(word)) {
      at++;
      const value = operand();
      return value === undefined ? undefined : (cwd) => evaluate(word, value, cwd);
    }
    const left = operand();
    if (left === undefined) return undefined;
    const operator = words[at];
    if (operator !== "=" && operator !== "!=") return () => left !== "";
    at++;
    const right = operand();
    if (right === undefined) return undefined;
    return () => (left === right) === (operator === "=");
  };
  const factor = (): Test | undefined => {
    if (words[at] !== "!") return primary();
    at++;
    const test = primary();
    return test && ((cwd) => !test(cwd));
  };
  const conjunction = (): Test | undefined => {
    let test = factor();
    while (test && words[at] === "-a") {
      at++;
      const left: Test = test;
      const right = factor();
      test = right && ((cwd) => left(cwd) && right(cwd));
    }
    return test;
  };
  let test = conjunction();
  while (test && words[at] === "-o") {
    at++;
    const left: Test = test;
    const right = conjunction();
    test = right && ((cwd) => left(cwd) || right(cwd));
  }
  return at === words.length ? test : undefined;
}

function evaluate(operator: string, value: string, cwd: string): boolean {
  switch (operator) {
    case "-n":
      return value !== "";
    case "-z":
      return value === "";
    case "-f":
      return status(cwd, value)?.isFile() ?? false;
    case "-d":
      return status(cwd, value)?.isDirectory() ?? false;
    case "-e":
      return status(cwd, value) !== undefined;
    case "-s":
      return (status(cwd, value)?.size ?? 0) > 0;
    case "-r":
      return may(cwd, value, constants.R_OK);
    case "-w":
      return may(cwd, value, constants.W_OK);
    case "-x":
      return may(cwd, value, constants.X_OK);
    default:
      return isLink(cwd, value);
  }
}

/** Not `resolve`: it would drop `x/..` before the kernel sees that x is a link, and a last slash. */
function place(cwd: string, path: string): string {
  return path.startsWith("/") ? path : `${cwd}/${path}`;
}

function status(cwd: string, path: string): Stats | undefined {
  if (path === "") return undefined;
  try {
    return statSync(place(cwd, path));
  } catch {
    return undefined; // test(1) makes no difference between missing and unreachable
  }
}

function isLink(cwd: string, path: string): boolean {
  if (path === "") return false;
  try {
    return lstatSync(place(cwd, path)).isSymbolicLink();
  } catch {
    return false; // as above
  }
}

function may(cwd: string, path: string, mode: number): boolean {
  if (path === "") return false;
  try {
    accessSync(place(cwd, path), mode);
    return true;
  } catch {
    return false; // as above
  }
}
