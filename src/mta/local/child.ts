/**
 * Child processes of a delivery: umask 077, a process group of their own so that the time limit ends
 * everything they started, output into the report in the order it was written.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { setTimeout as sleep } from "node:timers/promises";
import { copyOutput, feedChild } from "../../lib/child-streams.ts";
import { TEMPORARY } from "../../lib/exit-code.ts";
import type { MessageInput } from "../../lib/message-input.ts";
import type { Environment, ExitStatus, Output, SignalGroup } from "../../lib/program.ts";

/** How long after its end a child's own children may still write to the report. */
const LINGER_MS = 1000;
/** From SIGTERM to SIGKILL. */
const GRACE_MS = 5000;
/** How often we look whether a group that was told to stop is gone. */
const LOOK_MS = 20;

export interface ChildOptions {
  readonly cwd: string;
  readonly env: Environment;
  /** A descriptor, or bytes that go through a pipe. */
  readonly stdin: number | MessageInput;
  readonly stdout: Output;
  readonly stderr: Output;
  readonly signal: AbortSignal;
  readonly signalGroup: SignalGroup | undefined;
}

/** Run a file with arguments. Rejects with the system error when nothing could be started. */
export async function runChild(
  argv: readonly string[],
  options: ChildOptions,
  graceMs = GRACE_MS,
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
  const group = new ProcessGroup(await started(child), options.signalGroup, graceMs);
  const stop = (): void => group.stop();
  const ended = exit(child);
  options.signal.addEventListener("abort", stop, { once: true });
  if (options.signal.aborted) stop();
  const copies = [
    copyOutput(child.stdout, options.stdout),
    copyOutput(child.stderr, options.stderr),
  ];
  try {
    if (typeof options.stdin !== "number")
      await Promise.race([feedChild(options.stdin, child), ended]);
    const status = await ended;
    options.signal.removeEventListener("abort", stop);
    await group.end();
    await settle(copies);
    return status;
  } finally {
    options.signal.removeEventListener("abort", stop);
    child.stdin?.destroy();
    child.stdout?.destroy();
    child.stderr?.destroy();
  }
}

/**
 * The child and all it started: a program line may have started anything. A group that nobody told to
 * stop may go on when its leader has ended.
 */
class ProcessGroup {
  private readonly leader: number;
  private readonly signal: SignalGroup | undefined;
  private readonly graceMs: number;
  private killing: NodeJS.Timeout | undefined;
  private killAt: number | undefined;

  constructor(leader: number, signal: SignalGroup | undefined, graceMs: number) {
    this.leader = leader;
    this.signal = signal;
    this.graceMs = graceMs;
  }

  stop(): void {
    this.signal?.(this.leader, "SIGTERM");
    this.killAt = performance.now() + this.graceMs;
    this.killing = setTimeout(() => this.signal?.(this.leader, "SIGKILL"), this.graceMs);
  }

  /** The leader has ended: when it was told to, the others get the rest of the time. */
  async end(): Promise<void> {
    if (this.killAt === undefined) return;
    while (performance.now() < this.killAt && this.signal?.(this.leader, 0)) await sleep(LOOK_MS);
    clearTimeout(this.killing);
    this.signal?.(this.leader, "SIGKILL");
  }
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

/** All output, unless a child in the background keeps the pipe open. */
async function settle(copies: readonly Promise<void>[]): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  const limit = new Promise<void>((resolve) => {
    timer = setTimeout(resolve, LINGER_MS);
  });
  await Promise.race([Promise.all(copies), limit]);
  clearTimeout(timer);
}
