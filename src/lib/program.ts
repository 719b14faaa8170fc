/**
 * The program contract (design D1): a program is a function of a Host that returns an exit code.
 * The same function runs as a command (the dispatcher builds its Host from the process) and inside a local
 * worker (a .qmail line names it). A program touches nothing but its Host and files below `host.cwd`
 * or the paths it was given: no process, no chdir, no umask, no module state.
 */
import { PermanentError, TemporaryError, UsageError } from "./errors.ts";
import type { ExitCode } from "./exit-code.ts";
import type { MessageInput } from "./message-input.ts";
import type { QueueDoor } from "./queue-door.ts";

/** Variables of qmail-command (SENDER, LOCAL, HOST, EXT, DEFAULT, DTLINE …) and of the site. */
export type Environment = Readonly<Record<string, string | undefined>>;

/** Where a program writes. Text is written as UTF-8. Never throws; a closed reader swallows. */
export interface Output {
  write(data: string | Uint8Array): void;
  /** Resolves when everything written so far has left. */
  flush(): Promise<void>;
}

/** How another program ended: its exit code, or the signal that killed it. */
export interface ExitStatus {
  readonly code: ExitCode;
  readonly signal?: string;
}

/** What a program may replace when it runs another one. */
export interface RunOptions {
  /** What the other program reads; default: our own message from its first byte. */
  readonly stdin?: MessageInput;
  /** Changes to the environment; `undefined` removes. */
  readonly env?: Environment;
  readonly stdout?: Output;
  readonly stderr?: Output;
}

/** Runs other programs: one of ours in process, anything else as a child process. */
export interface CommandRunner {
  /** Run a program by name or path, no shell. Rejects with the system error when it cannot start. */
  exec(argv: readonly string[], options?: RunOptions): Promise<ExitStatus>;
  /** Run a command line as `/bin/sh -c` would. */
  shell(line: string, options?: RunOptions): Promise<ExitStatus>;
}

/** What a command may do with its process, beyond what it gets from Host. */
export interface CommandProcess {
  /** The node binary that runs us. */
  readonly execPath: string;
  /** Take a signal over from its default action. */
  onSignal(signal: "SIGTERM" | "SIGINT" | "SIGHUP" | "SIGALRM", listener: () => void): void;
}

/**
 * Signals the group that process `leader` leads; 0 only looks. False when nothing of it is left, or
 * nothing that we may signal.
 */
export type SignalGroup = (leader: number, signal: "SIGTERM" | "SIGKILL" | 0) => boolean;

export interface Host {
  /** Arguments after the program name. */
  readonly args: readonly string[];
  readonly env: Environment;
  /** Absolute. Relative paths in arguments are resolved against it (see `resolvePath`). */
  readonly cwd: string;
  /** The message (or a terminal, or a socket). */
  readonly stdin: MessageInput;
  /** Text for the caller; in a delivery it becomes part of the report. */
  readonly stdout: Output;
  readonly stderr: Output;
  /** The only way to send mail. */
  readonly queue: QueueDoor;
  readonly commands: CommandRunner;
  /** Aborted at shutdown or at the time limit. */
  readonly signal: AbortSignal;
  /** The MTA home, absolute: `QMAILHOME`, else `var/` of the checkout. */
  readonly home: string;
  /** The checkout (or package) directory that holds `bin/` and `templates/`. */
  readonly root: string;
  readonly uid: number;
  readonly gid: number;
  readonly pid: number;
  /** Which delivery this run belongs to, the same on every retry; undefined outside a delivery. */
  readonly deliveryKey?: string;
  /** Undefined where `signal` never aborts. */
  readonly signalGroup?: SignalGroup | undefined;
  /** Only where the program has a process of its own, as a command. */
  readonly process?: CommandProcess;
  now(): Date;
}

export interface Program {
  /** "ezmlm-send" */
  readonly name: string;
  /** Program name, options and operands, without "usage: "; derived from the option table. */
  readonly usage: string;
  run(host: Host): Promise<ExitCode>;
  /** It does nothing else until it has read its input, so as a command it may block in reading. */
  readonly readsFirst?: true;
  /**
   * When root runs it as a command: the path whose owner's uid and gid it takes first, so that no
   * database or archive file ends up owned by root. Undefined = stay.
   */
  runAs?(host: Host): string | undefined;
}

/** Run a program to its exit code. The one place where its errors become text and a number. */
export async function runProgram(program: Program, host: Host): Promise<ExitCode> {
  try {
    return await program.run(host);
  } catch (error) {
    if (error instanceof UsageError) {
      host.stderr.write(`${error.message}\n`);
      return error.exitCode;
    }
    const known = error instanceof PermanentError || error instanceof TemporaryError;
    const text = known ? error.message : `bug: ${String(error)} (#4.3.0)`;
    host.stderr.write(`${program.name}: fatal: ${text}\n`);
    if (!known && host.env.EZQMAIL_DEBUG && error instanceof Error) {
      host.stderr.write(`${error.stack}\n`);
    }
    return known ? error.exitCode : 111;
  }
}
