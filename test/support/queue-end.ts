/**
 * The end of qmail-send on `queue/deliver`, for tests of the processes that talk to it: greets, hands
 * out work, serves bodies by token, keeps the reports. Also the control channel qmail-start holds.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer, type Server, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import type { Duplex } from "node:stream";
import { fileURLToPath } from "node:url";
import { Channel } from "../../src/mta/channel/channel.ts";
import {
  type ControlMessage,
  readControl,
  writeControl,
} from "../../src/mta/channel/control-messages.ts";
import { BODY_CHUNK, PROTOCOL_VERSION, type Report } from "../../src/mta/channel/protocol.ts";
import { type QueueMessage, readQueue, writeQueue } from "../../src/mta/channel/queue-messages.ts";

const root = join(dirname(fileURLToPath(import.meta.url)), "..", "..");

type QueueChannel = Channel<QueueMessage, QueueMessage>;

export class QueueEnd {
  readonly home = mkdtempSync(join(tmpdir(), "home-"));
  readonly capability = Buffer.alloc(32, 7);
  readonly reports = new Map<number, Report>();
  /** Frames of reports that arrived: how well they are batched. */
  reportFrames = 0;
  readonly fetches: number[] = [];
  readonly bodies = new Map<number, Buffer>();
  readonly problems: string[] = [];
  exitCode: number | null | undefined;
  private readonly server: Server;
  private readonly sockets = new Set<Socket>();
  private work: QueueChannel | undefined;
  private control: Channel<ControlMessage, ControlMessage> | undefined;
  private child: ChildProcess | undefined;
  private readonly waiting = new Set<() => void>();

  constructor(controls: Readonly<Record<string, string>>) {
    mkdirSync(join(this.home, "queue", "lock"), { recursive: true });
    mkdirSync(join(this.home, "control"));
    for (const [name, text] of Object.entries(controls)) {
      writeFileSync(join(this.home, "control", name), text);
    }
    this.server = createServer((socket) => this.serve(socket));
  }

  private serve(socket: Socket): void {
    this.sockets.add(socket);
    socket.on("close", () => this.sockets.delete(socket));
    const channel: QueueChannel = new Channel(socket, writeQueue, readQueue, {
      message: (message) => this.receive(channel, message),
      closed: () => {},
    });
  }

  private receive(channel: QueueChannel, message: QueueMessage): void {
    switch (message.type) {
      case "hello":
        if (!message.capability.equals(this.capability)) {
          channel.destroy();
          return;
        }
        // The first connection is the one for work.
        this.work ??= channel;
        channel.send({ type: "welcome", version: PROTOCOL_VERSION });
        break;
      case "fetch":
        this.fetches.push(message.message);
        this.sendBody(channel, message.message, message.token);
        break;
      case "reports":
        this.reportFrames++;
        for (const report of message.reports) {
          if (this.reports.has(report.delivery)) {
            this.problems.push(`delivery ${report.delivery} reported twice`);
          }
          this.reports.set(report.delivery, report);
        }
        break;
      default:
        this.problems.push(`unexpected ${message.type}`);
    }
    this.event();
  }

  private sendBody(channel: QueueChannel, message: number, token: Buffer): void {
    const body = this.bodies.get(message);
    if (!body || token.toString() !== `token ${message}`) {
      channel.destroy();
      return;
    }
    for (let at = 0; at <= body.length; at += BODY_CHUNK) {
      const bytes = body.subarray(at, at + BODY_CHUNK);
      channel.send({ type: "chunk", message, last: at + BODY_CHUNK > body.length, bytes });
    }
  }

  /** Listen, start the process by the name of its entry, and wait for `ready`. */
  async start(entry: string, env: Readonly<Record<string, string>> = {}): Promise<void> {
    this.server.listen(join(this.home, "queue", "deliver"));
    await once(this.server, "listening");
    const child = spawn(process.execPath, [join(root, "dist", `${entry}.entry.js`)], {
      stdio: ["ignore", "inherit", "inherit", "pipe"],
      env: { ...process.env, ...env },
    });
    this.child = child;
    child.once("exit", (code) => {
      this.exitCode = code;
      this.event();
    });
    let ready = false;
    this.control = new Channel<ControlMessage, ControlMessage>(
      child.stdio[3] as Duplex,
      writeControl,
      readControl,
      {
        message: (message) => {
          if (message.type === "ready") ready = true;
          else this.problems.push(`control: ${JSON.stringify(message)}`);
          this.event();
        },
        closed: () => {},
      },
    );
    this.control.send({
      type: "start",
      version: PROTOCOL_VERSION,
      home: this.home,
      root,
      capability: this.capability,
      defaultDelivery: "",
      listeners: [],
    });
    await this.until(() => ready);
  }

  /** A message small enough to travel with the work. */
  small(message: number, bytes: Buffer): void {
    this.bodies.set(message, bytes);
    this.work?.send({ type: "chunk", message, last: true, bytes });
  }

  slot(
    message: number,
    first: number,
    sender: string,
    recipients: readonly string[],
    prefix = "",
  ): void {
    this.work?.send({
      type: "remote",
      message,
      token: Buffer.from(`token ${message}`),
      sizeBytes: this.bodies.get(message)?.length ?? 0,
      bodyType: "7bit",
      sender,
      prefix,
      first,
      recipients: recipients.map((address) => ({ original: address, routed: address })),
    });
  }

  send(message: QueueMessage): void {
    this.work?.send(message);
  }

  tell(message: ControlMessage): void {
    this.control?.send(message);
  }

  signal(name: NodeJS.Signals): void {
    this.child?.kill(name);
  }

  /** Close the queue sockets, as when qmail-send dies. */
  dropQueue(): void {
    for (const socket of this.sockets) socket.destroy();
  }

  /** Resolves once `test` holds; looked at after every event here. */
  until(test: () => boolean): Promise<void> {
    return new Promise((resolve) => {
      const look = (): void => {
        if (!test()) return;
        this.waiting.delete(look);
        resolve();
      };
      this.waiting.add(look);
      look();
    });
  }

  private event(): void {
    for (const look of [...this.waiting]) look();
  }

  verdicts(first: number, count: number): string {
    let text = "";
    for (let at = 0; at < count; at++) text += this.reports.get(first + at)?.verdict ?? "-";
    return text;
  }

  async stop(): Promise<void> {
    this.control?.destroy();
    if (this.child && this.exitCode === undefined) {
      this.child.kill("SIGKILL");
      await this.until(() => this.exitCode !== undefined);
    }
    this.dropQueue();
    await new Promise((resolve) => this.server.close(resolve));
    rmSync(this.home, { recursive: true });
  }
}
