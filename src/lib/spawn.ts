/**
 * The command runner of a program that runs as a command: everything it names becomes a child
 * process. Children inherit our streams unless the caller replaces one. A message in a file is opened
 * anew for each child, so that every child reads it from the first byte.
 */
import type { ChildProcess, StdioOptions } from "node:child_process";
import { closeSync, openSync } from "node:fs";
import { copyOutput, feedChild } from "./child-streams.ts";
import type { MessageInput } from "./message-input.ts";
import type { CommandRunner, Environment, ExitStatus, RunOptions } from "./program.ts";

export interface SpawnContext {
  readonly cwd: string;
  readonly env: Environment;
  /** Our own message: what a child reads when the caller names nothing else. */
  readonly stdin: MessageInput;
}

/** Exit code given for a child that a signal ended: temporary. */
const KILLED = 111;

export class ProcessCommands implements CommandRunner {
  private readonly context: SpawnContext;

  constructor(context: SpawnContext) {
    this.context = context;
  }

  shell(line: string, options: RunOptions = {}): Promise<ExitStatus> {
    return this.exec(["/bin/sh", "-c", line], options);
  }

  async exec(argv: readonly string[], options: RunOptions = {}): Promise<ExitStatus> {
    const { spawn } = await import("node:child_process");
    const [program = "", ...args] = argv;
    const input = options.stdin ?? this.context.stdin;
    const opened = openAnew(input);
    const inherited = opened === undefined && input === this.context.stdin && !input.buffer;
    const stdio: StdioOptions = [
      opened ?? (inherited ? "inherit" : "pipe"),
      options.stdout ? "pipe" : "inherit",
      options.stderr ? "pipe" : "inherit",
    ];
    try {
      const env = { ...this.context.env, ...options.env };
      const child = spawn(program, args, { cwd: this.context.cwd, env, stdio });
      const ended = exitStatus(child);
      await Promise.all([
        feedChild(input, child),
        copyOutput(child.stdout, options.stdout),
        copyOutput(child.stderr, options.stderr),
        ended,
      ]);
      return await ended;
    } finally {
      if (opened !== undefined) closeSync(opened);
    }
  }
}

/** A descriptor of its own at offset 0 when the input is a file, else undefined. */
function openAnew(input: MessageInput): number | undefined {
  if (input.path !== undefined) return openSync(input.path, "r");
  if (input.fd === undefined) return undefined;
  try {
    return openSync(`/proc/self/fd/${input.fd}`, "r");
  } catch {
    // No /proc, or a file we were handed but may not open ourselves: its bytes go through a pipe.
    return undefined;
  }
}

/** Resolves when the child ended and its streams are closed; rejects when it could not start. */
function exitStatus(child: ChildProcess): Promise<ExitStatus> {
  return new Promise((resolve, reject) => {
    child.on("error", reject);
    child.on("close", (code, signal) => {
      resolve(signal === null ? { code: code ?? KILLED } : { code: KILLED, signal });
    });
  });
}
