/**
 * One program as a command: builds the Host from the process and runs the program to its exit code.
 * The build makes dist/command/NAME.js of this file and that program. Nothing is loaded or started that
 * the program does not use: a command is started for every message.
 */
import { constants, fstatSync, openSync, readFileSync, readSync, writeSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import { isErrno, UsageError } from "./lib/errors.ts";
import { fileFrom, type MessageInput, streamInput } from "./lib/message-input.ts";
import { type Host, type Output, type Program, runProgram } from "./lib/program.ts";
import { ProcessCommands } from "./lib/spawn.ts";
import { commandQueue } from "./mta/inject/command-queue.ts";

/** A file is read by position, so that children find its offset where it was; the rest is a stream. */
function standardInput(mayWait: boolean): MessageInput {
  let kind: "file" | "pipe" | "other" = "other";
  try {
    const found = fstatSync(0);
    kind = found.isFile() ? "file" : found.isFIFO() ? "pipe" : "other";
  } catch {
    // descriptor 0 is closed; whoever reads it finds out
  }
  if (kind === "file") return fileFrom(0, offsetOf(0));
  let stream: MessageInput | undefined;
  return {
    chunks() {
      if (!stream) {
        const direct = mayWait ? 0 : kind === "pipe" ? readyPipe() : undefined;
        stream = streamInput(direct === undefined ? process.stdin : directChunks(direct));
      }
      return stream.chunks();
    },
  };
}

/** The pipe once more, to read without waiting; undefined where that cannot be had. */
function readyPipe(): number | undefined {
  try {
    return openSync("/proc/self/fd/0", constants.O_RDONLY | constants.O_NONBLOCK);
  } catch {
    return undefined;
  }
}

/**
 * Read without a stream, which takes 8 ms to load. Where that must not wait, what is in the pipe already
 * is mostly all of it; a stream goes on when there is nothing yet.
 */
async function* directChunks(fd: number): AsyncGenerator<Buffer> {
  for (;;) {
    const block = Buffer.allocUnsafe(65536);
    let size: number;
    try {
      size = readSync(fd, block);
    } catch (error) {
      if (!isErrno(error, "EAGAIN")) throw error;
      break;
    }
    if (size === 0) return;
    yield block.subarray(0, size);
  }
  yield* process.stdin;
}

/** Where the next read of a descriptor would start; a shell may have read some lines already. */
function offsetOf(fd: number): number {
  try {
    const position = /^pos:\t(\d+)/m.exec(readFileSync(`/proc/self/fdinfo/${fd}`, "latin1"));
    return Number(position?.[1] ?? 0);
  } catch {
    return 0;
  }
}

/** Written at once where that cannot stall the process; a socket goes through its stream. */
function standardOutput(fd: 1 | 2): Output {
  const stream = () => (fd === 1 ? process.stdout : process.stderr);
  let streaming: boolean | undefined;
  let failed = false;
  const viaStream = (bytes: Uint8Array): void => {
    if (!streaming) stream().on("error", () => {});
    streaming = true;
    stream().write(bytes);
  };
  return {
    write(data) {
      const bytes = typeof data === "string" ? Buffer.from(data) : data;
      try {
        streaming ??= fstatSync(fd).isSocket() ? undefined : false;
        if (failed) return;
        if (streaming !== false) return viaStream(bytes);
        for (let at = 0; at < bytes.length; ) {
          try {
            at += writeSync(fd, bytes, at);
          } catch (error) {
            if (!isErrno(error, "EAGAIN")) throw error;
            return viaStream(bytes.subarray(at));
          }
        }
      } catch {
        failed = true; // EPIPE, EBADF: nobody reads any more
      }
    },
    flush() {
      if (!streaming) return Promise.resolve();
      return new Promise((done) => {
        stream().write("", () => done());
      });
    },
  };
}

function processHost(program: Program, args: readonly string[], root: string): Host {
  const env = process.env;
  const home = resolve(env.QMAILHOME || join(root, "var"));
  const delivery = env.QMAILDELIVERY;
  const now = (): Date => new Date();
  const stdin = standardInput(program.readsFirst === true);
  const cwd = process.cwd();
  return {
    args,
    env,
    cwd,
    stdin,
    stdout: standardOutput(1),
    stderr: standardOutput(2),
    queue: commandQueue({ home, pid: process.pid }, env),
    commands: new ProcessCommands({ cwd, env, stdin }),
    signal: new AbortController().signal,
    home,
    root,
    uid: process.geteuid?.() ?? 0,
    gid: process.getegid?.() ?? 0,
    pid: process.pid,
    ...(delivery && { deliveryKey: delivery.split("/", 1)[0] as string }),
    process: {
      execPath: process.execPath,
      onSignal: (signal, listener) => process.on(signal, listener),
    },
    now,
  };
}

/**
 * Root gives up its rights to the owner of what the program is about to write. What is root's own, or
 * not there, is left to the program: it fails or works as root.
 */
async function dropRights(program: Program, host: Host): Promise<Host> {
  const path = host.uid === 0 ? program.runAs?.(host) : undefined;
  if (path === undefined) return host;
  const { ownerOf } = await import("./lib/one-uid.ts");
  const owner = ownerOf(resolve(host.cwd, path));
  if (!owner || owner.uid === 0) return host;
  process.setgroups?.([owner.gid]);
  process.setgid?.(owner.gid);
  process.setuid?.(owner.uid);
  return { ...host, uid: owner.uid, gid: owner.gid };
}

/** Runs it with the arguments after its name. Resolves with its exit code, all output written. */
export async function runCommand(program: Program, args: readonly string[]): Promise<number> {
  const root = dirname(import.meta.dirname);
  let host = processHost(program, args, root);
  const { name } = program;
  if (args.length === 1 && args[0] === "--help") {
    const { manualPage } = await import("./lib/manual.ts");
    host.stdout.write(manualPage(root, name) ?? `usage: ${program.usage}\n`);
    return 0;
  }
  try {
    host = await dropRights(program, host);
  } catch (error) {
    const misuse = error instanceof UsageError;
    const why = error instanceof Error ? error.message : String(error);
    host.stderr.write(misuse ? `${why}\n` : `${name}: fatal: ${why}\n`);
    return misuse ? 100 : 111;
  }
  const code = await runProgram(program, host);
  await host.stdout.flush();
  await host.stderr.flush();
  return code;
}
