/**
 * Runs a program line: in process when the closed grammar understands the whole line and every
 * program in it is ours, else all of it by /bin/sh, never a mix (design D2). Either way the program
 * reads the message from its first byte, its output joins the report, and mail it hands in carries the
 * key of this delivery and instruction, so that a re-run queues nothing twice (design 6).
 */
import { closeSync } from "node:fs";
import type { MessageInput } from "../../lib/message-input.ts";
import {
  type CommandRunner,
  type Environment,
  type ExitStatus,
  type Host,
  type Output,
  type Program,
  type RunOptions,
  runProgram,
  type SignalGroup,
} from "../../lib/program.ts";
import type { QueueDoor } from "../../lib/queue-door.ts";
import { runChild } from "./child.ts";
import { findExecutable, ourProgramName } from "./executable.ts";
import { readyScript } from "./line-script.ts";
import { StoredMessage } from "./stored-message.ts";

export type FindProgram = (name: string) => Promise<Program | undefined>;

/** What does not change between the deliveries of one process. */
export interface CommandSite {
  /** Ours to run in process; undefined: everything runs as a command. */
  readonly findProgram: FindProgram | undefined;
  readonly queue: QueueDoor;
  /** The MTA home, the checkout. */
  readonly home: string;
  readonly root: string;
  readonly uid: number;
  readonly gid: number;
  readonly pid: number;
  /** Undefined where deliveries have no time limit: qmail-local as a command. */
  readonly signalGroup: SignalGroup | undefined;
  now(): Date;
}

/** One instruction of one delivery. */
export interface CommandContext {
  readonly site: CommandSite;
  readonly env: Environment;
  /** The home of the user: where relative paths start. */
  readonly cwd: string;
  readonly message: StoredMessage;
  readonly output: Output;
  readonly errors: Output;
  readonly signal: AbortSignal;
  /** Undefined outside the queue's deliveries (qmail-local run by hand). */
  readonly deliveryKey: string | undefined;
  /** Number of the line in its .qmail file. */
  readonly instruction: number;
}

/** Run a program line. Rejects with the system error when no process could be started. */
export async function runLine(line: string, context: CommandContext): Promise<ExitStatus> {
  const { site, env, cwd } = context;
  const script =
    site.findProgram &&
    readyScript(line, { env, cwd, ours: (word) => ourProgramName(word, env, cwd, site.root) });
  const commands = new DeliveryCommands(context);
  if (!script) return commands.shell(line);
  const code = await script(async (name, args) => {
    const program = await site.findProgram?.(name);
    if (!program) return 127;
    return runOurs(program, args, context, {});
  });
  return { code };
}

/** The commands of a program that runs inside a delivery. */
class DeliveryCommands implements CommandRunner {
  private readonly context: CommandContext;

  constructor(context: CommandContext) {
    this.context = context;
  }

  shell(line: string, options: RunOptions = {}): Promise<ExitStatus> {
    return spawnCommand(["/bin/sh", "-c", line], this.context, options);
  }

  async exec(argv: readonly string[], options: RunOptions = {}): Promise<ExitStatus> {
    const { site, cwd } = this.context;
    const [word = "", ...args] = argv;
    const env = { ...this.context.env, ...options.env };
    const name = site.findProgram && ourProgramName(word, env, cwd, site.root);
    const program = name !== undefined ? await site.findProgram?.(name) : undefined;
    if (program) return { code: (await runOurs(program, args, this.context, options)) & 255 };
    const found = findExecutable(word, env, cwd);
    if (!found) throw systemError("ENOENT", word);
    if (!found.allowed) throw systemError("EACCES", word);
    return spawnCommand([found.path, ...args], this.context, options);
  }
}

function systemError(code: string, word: string): Error {
  return Object.assign(new Error(`${code}: ${word}`), { code });
}

function runOurs(
  program: Program,
  args: readonly string[],
  context: CommandContext,
  options: RunOptions,
): Promise<number> {
  const { site } = context;
  const inner: CommandContext = { ...context, env: { ...context.env, ...options.env } };
  const host: Host = {
    args,
    env: inner.env,
    cwd: context.cwd,
    stdin: options.stdin ?? context.message,
    stdout: options.stdout ?? context.output,
    stderr: options.stderr ?? context.errors,
    queue: keyedDoor(site.queue, instructionKey(context)),
    commands: new DeliveryCommands(inner),
    signal: context.signal,
    home: site.home,
    root: site.root,
    uid: site.uid,
    gid: site.gid,
    pid: site.pid,
    signalGroup: site.signalGroup,
    ...(context.deliveryKey !== undefined && { deliveryKey: context.deliveryKey }),
    now: () => site.now(),
  };
  return runProgram(program, host);
}

async function spawnCommand(
  argv: readonly string[],
  context: CommandContext,
  options: RunOptions,
): Promise<ExitStatus> {
  const key = instructionKey(context);
  const input: MessageInput = options.stdin ?? context.message;
  const stdin = input instanceof StoredMessage ? input.openAnew() : input;
  try {
    return await runChild(argv, {
      cwd: context.cwd,
      env: {
        ...context.env,
        QMAILHOME: context.site.home,
        QMAILDELIVERY: key,
        ...options.env,
      },
      stdin,
      stdout: options.stdout ?? context.output,
      stderr: options.stderr ?? context.errors,
      signal: context.signal,
      signalGroup: context.site.signalGroup,
    });
  } finally {
    if (typeof stdin === "number") closeSync(stdin);
  }
}

/** `<delivery key>/<instruction>`; undefined when nobody will run this delivery again. */
function instructionKey(context: CommandContext): string | undefined {
  if (context.deliveryKey === undefined) return undefined;
  return `${context.deliveryKey}/${context.instruction}`;
}

/**
 * Puts the key of the instruction before the keys a program uses. Outside a delivery nothing runs
 * again, so there is no key: two runs by hand are two mails.
 */
export function keyedDoor(queue: QueueDoor, prefix: string | undefined): QueueDoor {
  return {
    carriesPrefix: queue.carriesPrefix,
    keepsKeys: queue.keepsKeys && prefix !== undefined,
    open({ key, ...options } = {}) {
      const keyed = prefix !== undefined && key !== undefined;
      return queue.open(keyed ? { ...options, key: `${prefix}/${key}` } : options);
    },
  };
}
