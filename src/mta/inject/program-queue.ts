/**
 * The queue door that runs the program named by QMAILQUEUE, as every caller of qmail-queue does:
 * message on descriptor 0, then envelope on descriptor 1, custom error text on descriptor 6, verdict
 * by exit code. The program is run without PATH search, relative to the MTA home.
 */
import type { ChildProcess } from "node:child_process";
import { resolve } from "node:path";
import type { Readable, Writable } from "node:stream";
import { PermanentError, TemporaryError } from "../../lib/errors.ts";
import { queueVerdict } from "../../lib/exit-code.ts";
import type { Environment } from "../../lib/program.ts";
import type { QueueDoor, QueueReceipt, Submission } from "../../lib/queue-door.ts";
import { addressTrouble } from "./drop-queue.ts";

const highWaterBytes = 1 << 20;

export type Spawn = typeof import("node:child_process").spawn;

export class ProgramQueue implements QueueDoor {
  readonly carriesPrefix = false;
  readonly keepsKeys = false;
  private readonly path: string;
  private readonly home: string;
  private readonly env: Environment;
  private readonly spawn: () => Promise<Spawn>;

  constructor(program: string, home: string, env: Environment, spawn: () => Promise<Spawn>) {
    this.path = resolve(home, program);
    this.home = home;
    this.env = env;
    this.spawn = spawn;
  }

  open(): Submission {
    return new ProgramSubmission(this.start());
  }

  private async start(): Promise<ChildProcess> {
    const spawn = await this.spawn();
    return spawn(this.path, [], {
      cwd: this.home,
      env: { ...this.env },
      // Descriptor 1 is an input of the child: a socket pair serves both directions.
      stdio: ["pipe", "pipe", "inherit", "ignore", "ignore", "ignore", "pipe"],
    });
  }
}

interface Exit {
  readonly code: number;
  readonly crashed: boolean;
  readonly text: string;
}

class ProgramSubmission implements Submission {
  private readonly starting: Promise<ChildProcess>;
  private readonly exit: Promise<Exit>;
  private message: Buffer[] = [];
  private messageBytes = 0;
  private child: ChildProcess | undefined;
  private envelope: string[] = [];
  private trouble: Error | undefined;

  constructor(starting: Promise<ChildProcess>) {
    this.starting = starting;
    this.exit = starting.then((child) => {
      this.child = child;
      return watch(child);
    });
    this.exit.then(
      () => {},
      () => {},
    );
    starting.then(
      () => this.pump(),
      () => {},
    );
  }

  get full(): boolean {
    return this.messageBytes > highWaterBytes || (this.child?.stdin?.writableNeedDrain ?? false);
  }

  put(bytes: Uint8Array | string): void {
    const chunk = typeof bytes === "string" ? Buffer.from(bytes) : Buffer.from(bytes);
    this.message.push(chunk);
    this.messageBytes += chunk.length;
    this.pump();
  }

  private pump(): void {
    if (!this.child || this.messageBytes === 0) return;
    const bytes = Buffer.concat(this.message);
    this.message = [];
    this.messageBytes = 0;
    this.child.stdin?.write(bytes);
  }

  from(sender: string): void {
    this.trouble ??= addressTrouble(sender);
    this.envelope.push(`F${sender}\0`);
  }

  to(recipient: string): void {
    this.trouble ??= addressTrouble(recipient);
    this.envelope.push(`T${recipient}\0`);
  }

  async drained(): Promise<void> {
    const child = await this.starting;
    this.pump();
    if (!child.stdin?.writableNeedDrain) return;
    await Promise.race([new Promise((done) => child.stdin?.once("drain", done)), this.exit]);
  }

  async commit(): Promise<QueueReceipt> {
    if (this.trouble) {
      this.abort();
      throw this.trouble;
    }
    const child = await this.starting;
    this.pump();
    child.stdin?.end();
    (child.stdio[1] as unknown as Writable).end(`${this.envelope.join("")}\0`);
    const exit = await this.exit;
    if (exit.crashed) throw new TemporaryError("qq crashed (#4.3.0)");
    const verdict = queueVerdict(exit.code, exit.text);
    if (verdict.letter === "D") throw new PermanentError(verdict.text);
    if (verdict.letter === "Z") throw new TemporaryError(verdict.text);
    return { id: String(child.pid) };
  }

  /** The envelope ends early, so that the program sees end of file before the last NUL. */
  abort(): void {
    this.starting.then(
      (child) => {
        child.stdin?.destroy();
        (child.stdio[1] as unknown as Writable | null)?.destroy();
      },
      () => {},
    );
  }
}

/** How the program ended. A write that failed shows in its exit code, so pipe errors are dropped. */
function watch(child: ChildProcess): Promise<Exit> {
  const text: Buffer[] = [];
  let size = 0;
  for (const stream of child.stdio) stream?.on("error", () => {});
  const streams: readonly unknown[] = child.stdio;
  const custom = streams[6] as Readable | null;
  custom?.on("data", (chunk: Buffer) => {
    if (size < 255) text.push(chunk);
    size += chunk.length;
  });
  return new Promise((resolve) => {
    child.on("error", () => resolve({ code: 120, crashed: false, text: "" }));
    child.on("close", (code, signal) => {
      resolve({
        code: code ?? 81,
        crashed: signal !== null,
        text: Buffer.concat(text).subarray(0, 255).toString(),
      });
    });
  });
}
