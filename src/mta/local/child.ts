/**
 * Child processes of a delivery: umask 077, a process group of their own so that the time limit ends
 * everything they started, output into the report in the order it was written.
 */
import { type ChildProcess, spawn } from "node:child_process";
import type { Readable } from "node:stream";
import { TEMPORARY } from "../../lib/exit-code.ts";
import type { MessageInput } from "../../lib/message-input.ts";
import type { Environment, ExitStatus, Output } from "../../lib/program.ts";

/** How long after its end a child's own children may still write to the report. */
const LINGER_MS = 1000;
/** From SIGTERM to SIGKILL. */
const GRACE_MS = 5000;

export interface ChildOptions {
  readonly cwd: string;
  readonly env: Environment;
  /** A descriptor, or bytes that go through a pipe. */
  readonly stdin: number | MessageInput;
  readonly stdout: Output;
  readonly stderr: Output;
  readonly signal: AbortSignal;
}

/** Run a file with arguments. Rejects with the system error when nothing could be started. */
export async function runChild(
  argv: readonly string[],
  options: ChildOptions,
): Promise<ExitStatus> {
  const merged = options.stdout === options.stderr;
  // The shell opens nothing and parses nothing of ours: it sets what node cannot set for a child.
  const script = merged ? 'umask 077; exec "$@" 2>&1' : 'umask 077; exec "$@"';
  const child = spawn("/bin/sh", ["-c", script, "sh", ...argv], {
    cwd: options.cwd,
    env: options.env,
    detached: true,
    stdio: [typeof options.stdin === "number" ? options.stdin : "pipe", "pipe", "pipe"],
  });
  const pid = await started(child);
  const kill = (signal: string): void => killGroup(pid, signal);
  let timer: NodeJS.Timeout | undefined;
  const stop = (): void => {
    kill("TERM");
    timer = setTimeout(() => kill("KILL"), GRACE_MS);
  };
  const ended = exit(child);
  options.signal.addEventListener("abort", stop, { once: true });
  if (options.signal.aborted) stop();
  const copies = [copy(child.stdout, options.stdout), copy(child.stderr, options.stderr)];
  try {
    if (typeof options.stdin !== "number") await Promise.race([feed(options.stdin, child), ended]);
    const status = await ended;
    await settle(copies);
    return status;
  } finally {
    options.signal.removeEventListener("abort", stop);
    clearTimeout(timer);
    child.stdin?.destroy();
    child.stdout?.destroy();
    child.stderr?.destroy();
  }
}

/** The group, not only the child: a program line may have started anything. */
function killGroup(pid: number, signal: string): void {
  const script = 'kill -s "$1" -- "-$2"';
  spawn("/bin/sh", ["-c", script, "sh", signal, String(pid)], { stdio: "ignore" }).on(
    "error",
    () => {},
  );
}

function started(child: ChildProcess): Promise<number> {
  return new Promise((resolve, reject) => {
    child.once("error", reject);
    child.once("spawn", () => resolve(child.pid as number));
  });
}

function exit(child: ChildProcess): Promise<ExitStatus> {
  return new Promise((resolve) => {
    child.once("exit", (code, signal) => {
      resolve(signal === null ? { code: code ?? TEMPORARY } : { code: TEMPORARY, signal });
    });
  });
}

/** Give the input to a child that reads a pipe. A child that stops reading is no error. */
async function feed(input: MessageInput, child: ChildProcess): Promise<void> {
  const pipe = child.stdin;
  if (!pipe) return;
  const gone = new Promise<void>((resolve) => {
    pipe.on("error", () => {});
    pipe.on("close", resolve);
  });
  for await (const chunk of input.chunks()) {
    if (pipe.destroyed) return;
    if (!pipe.write(chunk)) {
      await Promise.race([new Promise((drained) => pipe.once("drain", drained)), gone]);
    }
  }
  pipe.end();
}

async function copy(from: Readable | null, to: Output): Promise<void> {
  if (!from) return;
  try {
    for await (const chunk of from) to.write(chunk as Buffer);
  } catch (error) {
    if (!from.destroyed) throw error;
  }
}

/** All output, unless a child in the background keeps the pipe open. */
async function settle(copies: readonly Promise<void>[]): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  const limit = new Promise<void>((resolve) => {
    timer = setTimeout(resolve, LINGER_MS);
  });
  await Promise.race([Promise.all(copies), limit]);
  clearTimeout(timer);
}
