/**
 * A program line made ready to run in process: every command in it is a known builtin or one of our
 * programs, or nothing is run in process at all. Statuses and `exit` follow POSIX 2.9.
 */
import type { ExitCode } from "../../lib/exit-code.ts";
import type { Environment } from "../../lib/program.ts";
import { type AndOr, type List, parseCommandLine, type Simple, type Term } from "./command-line.ts";
import { parseTest } from "./test-expression.ts";

/** Runs one of our programs in process and gives its exit status. */
export type RunOurs = (name: string, args: readonly string[]) => Promise<ExitCode>;

export interface ScriptContext {
  readonly env: Environment;
  readonly cwd: string;
  /** Our program behind a command word, or undefined when it is not ours. */
  ours(word: string): string | undefined;
}

/** Runs the line and resolves to its exit status. */
export type Script = (run: RunOurs) => Promise<ExitCode>;

/** Undefined: the line belongs to /bin/sh. */
export function readyScript(line: string, context: ScriptContext): Script | undefined {
  const list = parseCommandLine(line, context.env);
  const step = list && readyList(list, context);
  if (!step) return undefined;
  return async (run) => {
    try {
      return await step(run);
    } catch (exit) {
      if (exit instanceof Exit) return exit.code;
      throw exit;
    }
  };
}

/** Thrown by the builtin `exit`. */
class Exit {
  readonly code: ExitCode;
  constructor(code: ExitCode) {
    this.code = code;
  }
}

type Step = (run: RunOurs) => Promise<ExitCode>;

function readyList(list: List, context: ScriptContext): Step | undefined {
  const steps = readyAll(list, (item) => readyAndOr(item, context));
  if (!steps) return undefined;
  return async (run) => {
    let status = 0;
    for (const step of steps) status = await step(run);
    return status;
  };
}

function readyAndOr(item: AndOr, context: ScriptContext): Step | undefined {
  const first = readyTerm(item.first, context);
  const rest = readyAll(item.rest, ({ operator, term }) => {
    const step = readyTerm(term, context);
    return step && { operator, step };
  });
  if (!first || !rest) return undefined;
  return async (run) => {
    let status = await first(run);
    for (const { operator, step } of rest) {
      if ((status === 0) === (operator === "&&")) status = await step(run);
    }
    return status;
  };
}

function readyTerm(term: Term, context: ScriptContext): Step | undefined {
  const step = readyCommand(term, context);
  if (!step || !term.negated) return step;
  return async (run) => ((await step(run)) === 0 ? 1 : 0);
}

function readyCommand({ command }: Term, context: ScriptContext): Step | undefined {
  if (command.kind === "simple") return readySimple(command, context);
  const branches = readyAll(command.branches, (branch) => {
    const condition = readyList(branch.condition, context);
    const body = readyList(branch.body, context);
    return condition && body && { condition, body };
  });
  const otherwise = command.otherwise && readyList(command.otherwise, context);
  if (!branches || (command.otherwise && !otherwise)) return undefined;
  return async (run) => {
    for (const { condition, body } of branches) {
      if ((await condition(run)) === 0) return body(run);
    }
    return otherwise ? otherwise(run) : 0;
  };
}

function readySimple({ words }: Simple, context: ScriptContext): Step | undefined {
  const [name = "", ...args] = words;
  switch (name) {
    case "true":
    case ":":
      return async () => 0;
    case "false":
      return async () => 1;
    case "exit":
      return readyExit(args);
    case "[":
      return args.at(-1) === "]" ? readyTest(args.slice(0, -1), context) : undefined;
    case "test":
      return readyTest(args, context);
    default: {
      const program = context.ours(name);
      if (program === undefined) return undefined;
      return async (run) => (await run(program, args)) & 255;
    }
  }
}

/** Without a number, or with one that shells read differently, it is not ours to say. */
function readyExit(args: readonly string[]): Step | undefined {
  const [number = ""] = args;
  if (args.length !== 1 || !/^(?:0|[1-9]\d{0,2})$/.test(number)) return undefined;
  const code = Number(number);
  if (code > 255) return undefined;
  return async () => {
    throw new Exit(code);
  };
}

function readyTest(words: readonly string[], context: ScriptContext): Step | undefined {
  const test = parseTest(words);
  return test && (async () => (test(context.cwd) ? 0 : 1));
}

function readyAll<T, R>(list: readonly T[], ready: (item: T) => R | undefined): R[] | undefined {
  const all: R[] = [];
  for (const item of list) {
    const one = ready(item);
    if (one === undefined) return undefined;
    all.push(one);
  }
  return all;
}
