/** The logger of qmail-start's command line: reads the log on its standard input until the end. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { TemporaryError } from "../../lib/errors.ts";
import type { Environment } from "../../lib/program.ts";

export interface Logger {
  /** Descriptor the children get as their standard output. */
  readonly fd: number;
  /** No more log comes; resolves when the logger has read all of it and ended. */
  end(): Promise<void>;
}

/** Without a command the log goes to our own standard output. */
export function startLogger(command: readonly string[], env: Environment, cwd: string): Logger {
  const [program, ...args] = command;
  if (program === undefined) return { fd: 1, end: async () => {} };
  // A session of its own: a signal to our group must not end it before the last line.
  const child = spawn(program, args, {
    cwd,
    env: { ...env },
    detached: true,
    stdio: ["pipe", "inherit", "inherit"],
  });
  let failure: Error | undefined;
  child.on("error", (error) => {
    failure = error;
  });
  child.stdin.on("error", () => {});
  const fd = (child.stdin as unknown as { _handle: { fd: number } | null })._handle?.fd;
  if (child.pid === undefined || fd === undefined) {
    throw new TemporaryError(`cannot run the logger ${JSON.stringify(program)}`, {
      cause: failure,
    });
  }
  return {
    fd,
    async end() {
      const gone = child.exitCode !== null || child.signalCode !== null;
      child.stdin.end();
      if (!gone) await once(child, "exit");
    },
  };
}
