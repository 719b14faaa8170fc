/**
 * The dispatcher behind main.ts: the name it was called by picks the program, `main.js NAME args` works
 * too. Builds the Host from the process and loads nothing the program does not use: a command is
 * started for every message.
 */
import { fstatSync, readFileSync, writeSync } from "node:fs";
import { basename, dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { isErrno, UsageError } from "./lib/errors.ts";
import { fileFrom, type MessageInput, streamInput } from "./lib/message-input.ts";
import { type Host, type Output, type Program, runProgram } from "./lib/program.ts";
import { ProcessCommands } from "./lib/spawn.ts";
import { commandQueue } from "./mta/inject/command-queue.ts";
import { findProgram } from "./programs.ts";

/** A file is read by position, so that children find its offset where it was; the rest is a stream. */
function standardInput(): MessageInput {
  const file = (() => {
    try {
      return fstatSync(0).isFile();
    } catch {
      return false; // descriptor 0 is closed
    }
  })();
  if (file) return fileFrom(0, offsetOf(0));
  let stream: MessageInput | undefined;
  return {
    chunks() {
      stream ??= streamInput(process.stdin);
      return stream.chunks();
    },
  };
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

function processHost(args: readonly string[], root: string): Host {
  const env = process.env;
  const home = resolve(env.QMAILHOME || join(root, "var"));
  const delivery = env.QMAILDELIVERY;
  const now = (): Date => new Date();
  const stdin = standardInput();
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

async function main(): Promise<number> {
  const root = dirname(dirname(fileURLToPath(import.meta.url)));
  const called = basename(process.argv[1] ?? "");
  const direct = called === "main.js" || called === "main.ts";
  const [name = "", args] = direct
    ? [process.argv[2], process.argv.slice(3)]
    : [called, process.argv.slice(2)];
  let host = processHost(args, root);
  const program = await findProgram(name);
  if (!program) {
    host.stderr.write(`ezqmail: fatal: there is no program named ${JSON.stringify(name)}\n`);
    return 100;
  }
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

try {
  process.exit(await main());
} catch (error) {
  process.stderr.write(`ezqmail: fatal: ${error instanceof Error ? error.stack : String(error)}\n`);
  process.exit(111);
}
