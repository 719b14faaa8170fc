/**
 * What tests of list programs stand on: a Host with a recorder instead of the queue, programs run in
 * process or as the command a user would type, and lists made by the real ezmlm-make.
 */
import { spawn } from "node:child_process";
import {
  chmodSync,
  existsSync,
  lchownSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, onTestFinished } from "vitest";
import { type HeaderField, parseHeader } from "../../src/lib/header.ts";
import { bufferInput, type MessageInput } from "../../src/lib/message-input.ts";
import {
  type CommandRunner,
  type Environment,
  type Host,
  type Output,
  type RunOptions,
  runProgram,
} from "../../src/lib/program.ts";
import type { QueueDoor } from "../../src/lib/queue-door.ts";
import { findProgram } from "../../src/programs.ts";
import { plainPath, root } from "./root.ts";

export { root };

/** A mail that was committed. */
export interface RecordedMail {
  readonly sender: string;
  readonly recipients: readonly string[];
  readonly bytes: Buffer;
  /** Header as it is on the wire, one entry per field, folding kept; binary strings. */
  readonly header: readonly string[];
  readonly fields: readonly HeaderField[];
  /** Decoded as UTF-8. */
  readonly body: string;
  /** Undefined when a command handed it in. */
  readonly key?: string;
  /** Template of what each copy has in front. */
  readonly prefix?: string;
}

export function recordedMail(
  bytes: Buffer,
  sender: string,
  recipients: string[],
  key?: string,
  prefix?: string,
): RecordedMail {
  const { fields, bodyStart } = parseHeader(bytes);
  return {
    sender,
    recipients,
    bytes,
    fields,
    header: fields.map((field) => field.raw),
    body: bytes.subarray(bodyStart).toString("utf8"),
    ...(key !== undefined && { key }),
    ...(prefix !== undefined && { prefix }),
  };
}

/** Queue door that keeps what is committed. A repeat of a key is answered with yes and kept once. */
export class RecorderQueue implements QueueDoor {
  carriesPrefix = true;
  keepsKeys = true;
  readonly mails: RecordedMail[] = [];
  /** Thrown by every commit while it is set. */
  refuse: Error | undefined;
  /** Submissions that were given up. */
  aborted = 0;
  private readonly keys = new Map<string, string>();
  private next = 1;

  open(options: { key?: string; prefix?: string } = {}) {
    const parts: Buffer[] = [];
    const recipients: string[] = [];
    let sender = "";
    const { key, prefix } = options;
    return {
      full: false,
      put: (bytes: Uint8Array | string) => {
        parts.push(Buffer.from(bytes));
      },
      from: (address: string) => {
        sender = address;
      },
      to: (address: string) => {
        recipients.push(address);
      },
      drained: async () => {},
      commit: async () => {
        if (this.refuse) throw this.refuse;
        const known = key === undefined ? undefined : this.keys.get(key);
        if (known) return { id: known };
        const id = String(this.next++);
        if (key !== undefined) this.keys.set(key, id);
        this.mails.push(recordedMail(Buffer.concat(parts), sender, recipients, key, prefix));
        return { id };
      },
      abort: () => {
        this.aborted++;
      },
    };
  }

  /** The only mail there is; fails when there are more or none. Forgets it. */
  take(): RecordedMail {
    expect(this.mails).toHaveLength(1);
    return this.mails.pop() as RecordedMail;
  }
}

export class TextOutput implements Output {
  text = "";
  write(data: string | Uint8Array): void {
    this.text += typeof data === "string" ? data : Buffer.from(data).toString("utf8");
  }
  async flush(): Promise<void> {}
}

export interface RunSettings {
  readonly args?: readonly string[];
  readonly env?: Environment;
  readonly stdin?: string | Buffer | MessageInput;
  readonly cwd?: string;
  readonly queue?: RecorderQueue;
  readonly now?: Date;
  readonly deliveryKey?: string;
  readonly host?: Partial<Host>;
}

export interface RunResult {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
  /** Mail handed in by this run (and by programs it ran), in order. */
  readonly mails: readonly RecordedMail[];
}

/** A directory of this test, removed when it ends. */
export function temporaryDirectory(): string {
  const dir = mkdtempSync(join(tmpdir(), "ezqmail-"));
  onTestFinished(() => rmSync(dir, { recursive: true, force: true }));
  return dir;
}

interface TestHost {
  readonly host: Host;
  readonly queue: RecorderQueue;
  readonly stdout: TextOutput;
  readonly stderr: TextOutput;
}

/** A Host whose queue is a recorder and whose programs run in process. */
export function makeHost(settings: RunSettings = {}): TestHost {
  const queue = settings.queue ?? new RecorderQueue();
  const stdout = new TextOutput();
  const stderr = new TextOutput();
  const stdin = inputOf(settings.stdin);
  const host: Host = {
    args: settings.args ?? [],
    env: settings.env ?? {},
    cwd: settings.cwd ?? tmpdir(),
    stdin,
    stdout,
    stderr,
    queue,
    commands: new InProcessCommands(() => host),
    signal: new AbortController().signal,
    home: join(settings.cwd ?? tmpdir(), "var"),
    root,
    uid: process.getuid?.() ?? 0,
    gid: process.getgid?.() ?? 0,
    pid: process.pid,
    now: () => settings.now ?? new Date(),
    ...(settings.deliveryKey !== undefined && { deliveryKey: settings.deliveryKey }),
    ...settings.host,
  };
  return { host, queue, stdout, stderr };
}

function inputOf(stdin: RunSettings["stdin"]): MessageInput {
  if (stdin === undefined) return bufferInput("");
  return typeof stdin === "string" || Buffer.isBuffer(stdin) ? bufferInput(stdin) : stdin;
}

/** Runs our programs in process and shell lines in a real shell whose PATH has our commands. */
class InProcessCommands implements CommandRunner {
  private readonly host: () => Host;
  constructor(host: () => Host) {
    this.host = host;
  }

  async exec(argv: readonly string[], options: RunOptions = {}) {
    const host = this.host();
    const name = (argv[0] ?? "").replace(/^.*\//, "");
    const program = await findProgram(name);
    if (!program) throw Object.assign(new Error(`spawn ${name} ENOENT`), { code: "ENOENT" });
    const inner: Host = {
      ...host,
      args: argv.slice(1),
      env: { ...host.env, ...options.env },
      stdin: options.stdin ?? host.stdin,
      stdout: options.stdout ?? host.stdout,
      stderr: options.stderr ?? host.stderr,
    };
    return { code: await runProgram(program, inner) };
  }

  async shell(line: string, options: RunOptions = {}) {
    const host = this.host();
    const ran = await spawnRecorded("/bin/sh", ["-c", line], {
      cwd: host.cwd,
      env: { ...host.env, ...options.env },
      stdin: options.stdin ?? host.stdin,
    });
    (options.stdout ?? host.stdout).write(ran.stdout);
    (options.stderr ?? host.stderr).write(ran.stderr);
    if (host.queue instanceof RecorderQueue) host.queue.mails.push(...ran.mails);
    return { code: ran.code };
  }
}

/** Run a program of ours in this process, errors and exit code as `runProgram` has them. */
export async function runInProcess(name: string, settings: RunSettings = {}): Promise<RunResult> {
  const program = await findProgram(name);
  if (!program) throw new Error(`no program ${name}`);
  const { host, queue, stdout, stderr } = makeHost(settings);
  const before = queue.mails.length;
  const code = await runProgram(program, host);
  return { code, stdout: stdout.text, stderr: stderr.text, mails: queue.mails.slice(before) };
}

/** Run it as the command a user types, `bin/NAME`, with a QMAILQUEUE that records. */
export async function runCommand(name: string, settings: RunSettings = {}): Promise<RunResult> {
  return spawnRecorded(join(root, "bin", name), settings.args ?? [], {
    cwd: settings.cwd ?? tmpdir(),
    env: settings.env ?? {},
    stdin: inputOf(settings.stdin),
  });
}

/** The two ways to run a program; a test over `ways` shows that they agree. */
export const ways = [
  ["in process", runInProcess],
  ["as a command", runCommand],
] as const;

async function spawnRecorded(
  file: string,
  args: readonly string[],
  settings: { cwd: string; env: Environment; stdin: MessageInput },
): Promise<RunResult> {
  const spool = mkdtempSync(join(tmpdir(), "ezqmail-spool-"));
  try {
    const child = spawn(file, args, {
      cwd: settings.cwd,
      env: {
        PATH: `${join(root, "bin")}:${plainPath}`,
        ...recorderEnvironment(spool),
        ...settings.env,
      },
      stdio: ["pipe", "pipe", "pipe"],
    });
    let stdout = "";
    let stderr = "";
    child.stdout.setEncoding("utf8").on("data", (text) => {
      stdout += text;
    });
    child.stderr.setEncoding("utf8").on("data", (text) => {
      stderr += text;
    });
    child.stdin.on("error", () => {});
    for await (const chunk of settings.stdin.chunks()) child.stdin.write(chunk);
    child.stdin.end();
    const code = await new Promise<number>((resolve, reject) => {
      child.on("error", reject);
      child.on("close", (status) => resolve(status ?? 111));
    });
    return { code, stdout, stderr, mails: recordedIn(spool) };
  } finally {
    rmSync(spool, { recursive: true, force: true });
  }
}

/** Environment that makes commands hand their mail to a recorder script instead of the queue. */
export function recorderEnvironment(spool: string): Record<string, string> {
  mkdirSync(spool, { recursive: true });
  // A command started by root hands in its mail as the owner of the list.
  chmodSync(spool, 0o777);
  const script = join(spool, "queue");
  if (!existsSync(script)) {
    writeFileSync(
      script,
      `#!/bin/sh\nn=$(date +%s%N).$$\ncat >'${spool}'/$n.part && cat <&1 >'${spool}'/$n.env && mv '${spool}'/$n.part '${spool}'/$n.msg\n`,
    );
    chmodSync(script, 0o755);
  }
  return { QMAILQUEUE: script, QMAILHOME: spool };
}

/** What the recorder script has collected, in the order of arrival. */
export function recordedIn(spool: string): RecordedMail[] {
  const names = readdirSync(spool).filter((name) => name.endsWith(".msg"));
  return names.sort().map((name) => {
    const envelope = readFileSync(join(spool, name.replace(/msg$/, "env")), "utf8").split("\0");
    const recipients = envelope.filter((part) => part.startsWith("T")).map((part) => part.slice(1));
    return recordedMail(readFileSync(join(spool, name)), (envelope[0] ?? "F").slice(1), recipients);
  });
}

export interface TestList {
  /** Home of the list owner. */
  readonly home: string;
  readonly dir: string;
  /** `HOME/.qmail-NAME` */
  readonly dot: string;
  readonly local: string;
  readonly host: string;
  /** Run a program on this list, in process. `args` without DIR: it is inserted by `{DIR}` or left to you. */
  run(name: string, settings?: RunSettings): Promise<RunResult>;
  /** Write a file of the list; directories are made. */
  write(name: string, text?: string): void;
  read(name: string): string;
  has(name: string): boolean;
}

/** A list made by ezmlm-make in a directory of this test: `joe-list@lists.example.org`. */
export async function makeList(
  switches: readonly string[] = [],
  names: { local?: string; host?: string } = {},
): Promise<TestList> {
  const home = temporaryDirectory();
  const local = names.local ?? "joe-list";
  const host = names.host ?? "lists.example.org";
  const dir = join(home, local);
  const dot = join(home, `.qmail-${local}`);
  const made = await runInProcess("ezmlm-make", {
    cwd: home,
    args: [...switches, dir, dot, local, host],
  });
  if (made.code !== 0) throw new Error(`ezmlm-make: ${made.code} ${made.stderr}`);
  // As root the list was given to the account list mail has; the programs under test run as we do.
  if (process.getuid?.() === 0) chownTree(dir);
  return {
    home,
    dir,
    dot,
    local,
    host,
    run: (name, settings = {}) => {
      const args = (settings.args ?? ["{DIR}"]).map((word) => word.replaceAll("{DIR}", dir));
      return runInProcess(name, { cwd: home, ...settings, args });
    },
    write: (name, text = "") => {
      const path = join(dir, name);
      mkdirSync(join(path, ".."), { recursive: true });
      writeFileSync(path, text);
    },
    read: (name) => readFileSync(join(dir, name), "utf8"),
    has: (name) => existsSync(join(dir, name)),
  };
}

function chownTree(path: string): void {
  for (const entry of readdirSync(path, { withFileTypes: true })) {
    if (entry.isDirectory()) chownTree(join(path, entry.name));
    else lchownSync(join(path, entry.name), 0, 0);
  }
  lchownSync(path, 0, 0);
}

/** Assert header fields by taking each away, in any order; `end()` fails on those nobody expected. */
export function headerOf(mail: RecordedMail) {
  const left = [...mail.header];
  return {
    /** Removes and returns the first field of that name, unfolded, without name; fails without one. */
    take(name: string): string {
      const at = left.findIndex((raw) => raw.toLowerCase().startsWith(`${name.toLowerCase()}:`));
      expect(at, `header field ${name} in\n${left.join("\n")}`).toBeGreaterThanOrEqual(0);
      const [raw = ""] = left.splice(at, 1);
      return raw
        .slice(raw.indexOf(":") + 1)
        .replace(/\r?\n[ \t]+/g, " ")
        .trim();
    },
    /** No fields are left. */
    end(): void {
      expect(left).toEqual([]);
    },
  };
}
