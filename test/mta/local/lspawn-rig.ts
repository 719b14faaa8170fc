/**
 * A real qmail-lspawn process with real workers, and the qmail-send end of its sockets: hands out
 * deliveries and bodies, takes mail and reports.
 */
import { type ChildProcess, spawn } from "node:child_process";
import {
  chmodSync,
  chownSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { createServer, type Server } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Duplex } from "node:stream";
import { fileURLToPath } from "node:url";
import { Channel } from "../../../src/mta/channel/channel.ts";
import {
  type ControlMessage,
  readControl,
  writeControl,
} from "../../../src/mta/channel/control-messages.ts";
import { PROTOCOL_VERSION, type Report } from "../../../src/mta/channel/protocol.ts";
import {
  type QueueMessage,
  readQueue,
  unfold,
  writeQueue,
} from "../../../src/mta/channel/queue-messages.ts";

export const root = fileURLToPath(new URL("../../..", import.meta.url)).replace(/\/$/, "");

interface Mail {
  key: string;
  sender: string;
  recipients: string[];
  body: Buffer;
  uid: number;
}

export class LspawnRig {
  readonly dir = mkdtempSync(join(tmpdir(), "lspawn-"));
  readonly home = join(this.dir, "var");
  readonly mails: Mail[] = [];
  readonly reports = new Map<number, Report>();
  readonly bodies = new Map<number, Buffer>();
  readonly workerUids: number[] = [];
  fetches = 0;
  exitCode: number | undefined;
  private readonly server: Server;
  private readonly announced = new Map<string, number>();
  private readonly keys = new Map<string, number>();
  private readonly waiters = new Set<() => void>();
  private child: ChildProcess | undefined;
  private control: Channel<ControlMessage, ControlMessage> | undefined;
  private lspawn: Channel<QueueMessage, QueueMessage> | undefined;
  private capability = Buffer.alloc(32, 7);
  private next = 1;

  constructor() {
    chmodSync(this.dir, 0o755);
    for (const name of ["", "queue", "users", "control"]) mkdirSync(join(this.home, name));
    this.server = createServer((socket) => this.accept(socket));
  }

  /** `uid`: run lspawn as this user (one-uid mode), else as we are. */
  async start(
    options: {
      uid?: number;
      gid?: number;
      defaultDelivery?: string;
      env?: Record<string, string>;
    } = {},
  ): Promise<void> {
    const path = join(this.home, "queue", "deliver");
    await new Promise<void>((resolve) => this.server.listen(path, resolve));
    chmodSync(path, 0o666);
    const { uid, gid } = options;
    const child = spawn(process.execPath, [join(root, "dist", "qmail-lspawn.entry.js")], {
      stdio: ["ignore", "inherit", "inherit", "pipe"],
      env: { ...process.env, ...options.env },
      ...(uid !== undefined && gid !== undefined && { uid, gid }),
    });
    this.child = child;
    child.on("exit", (code) => {
      this.exitCode = code ?? -1;
      this.touched();
    });
    let ready = false;
    this.control = new Channel(child.stdio[3] as Duplex, writeControl, readControl, {
      message: (message) => {
        ready ||= message.type === "ready";
        this.touched();
      },
      closed: () => {},
    });
    this.control.send({
      type: "start",
      version: PROTOCOL_VERSION,
      home: this.home,
      root,
      capability: this.capability,
      defaultDelivery: options.defaultDelivery ?? "./Maildir/",
      listeners: [],
    });
    await this.until(() => ready);
  }

  /** Write users/assign. */
  assign(...lines: string[]): void {
    writeFileSync(join(this.home, "users", "assign"), `${lines.join("\n")}\n.\n`);
  }

  /** A home directory with a .qmail file per entry, owned by `uid`. */
  userHome(name: string, files: Record<string, string>, uid = process.getuid?.() ?? 0): string {
    const home = join(this.dir, name);
    mkdirSync(home);
    for (const part of ["Maildir", "Maildir/tmp", "Maildir/new", "Maildir/cur"]) {
      mkdirSync(join(home, part));
      chownSync(join(home, part), uid, uid);
    }
    for (const [file, text] of Object.entries(files)) {
      writeFileSync(join(home, file), text);
      chownSync(join(home, file), uid, uid);
    }
    chownSync(home, uid, uid);
    return home;
  }

  /** Hand out a delivery; resolves to its number. */
  deliver(
    recipient: string,
    body: string | Buffer = "Subject: x\n\nhi\n",
    sender = "s@x.example",
    key?: string,
    prefix = "",
  ): number {
    const delivery = this.next++;
    const message = 1000 + delivery;
    const bytes = Buffer.from(body);
    this.bodies.set(message, bytes);
    this.lspawn?.send({
      type: "local",
      message,
      token: Buffer.alloc(16, 1),
      sizeBytes: bytes.length,
      sender,
      delivery,
      deliveryKey: key ?? `${message}.1`,
      original: recipient,
      recipient,
      prefix,
    });
    return delivery;
  }

  async report(delivery: number, limitMs = 15_000): Promise<Report> {
    await this.until(() => this.reports.has(delivery), limitMs);
    return this.reports.get(delivery) as Report;
  }

  /** Deliver and wait: `K did 1+0+0`. */
  async outcome(
    recipient: string,
    body?: string | Buffer,
    sender?: string,
    key?: string,
  ): Promise<string> {
    const { verdict, text } = await this.report(this.deliver(recipient, body, sender, key));
    return `${verdict}${text}`;
  }

  askToStop(): void {
    this.control?.send({ type: "stop" });
  }

  get pid(): number {
    return this.child?.pid as number;
  }

  killLspawn(): void {
    this.child?.kill("SIGKILL");
  }

  /** Processes whose parent is lspawn. */
  workerPids(): number[] {
    return readFileSync(`/proc/${this.pid}/task/${this.pid}/children`, "latin1")
      .trim()
      .split(" ")
      .filter(Boolean)
      .map(Number);
  }

  async stop(): Promise<void> {
    if (this.child && this.exitCode === undefined) {
      this.killLspawn();
      await this.until(() => this.exitCode !== undefined);
    }
    this.lspawn?.destroy();
    this.server.close();
    rmSync(this.dir, { recursive: true, force: true });
  }

  async until(condition: () => boolean, limitMs = 15_000): Promise<void> {
    const deadline = Date.now() + limitMs;
    while (!condition()) {
      if (Date.now() > deadline) throw new Error("waited in vain");
      await new Promise<void>((resolve) => {
        const timer = setTimeout(wake, 50);
        const { waiters } = this;
        function wake(): void {
          clearTimeout(timer);
          waiters.delete(wake);
          resolve();
        }
        waiters.add(wake);
      });
    }
  }

  private touched(): void {
    for (const wake of [...this.waiters]) wake();
  }

  private accept(socket: Duplex): void {
    const open = new Map<number, Mail & { parts: Buffer[] }>();
    let uid = -1;
    const receive = (message: QueueMessage): void => {
      switch (message.type) {
        case "hello":
          if (message.capability.equals(this.capability)) this.lspawn = channel;
          else uid = this.announced.get(message.capability.toString("hex")) ?? -1;
          if (this.lspawn !== channel && uid < 0) channel.destroy();
          else channel.send({ type: "welcome", version: PROTOCOL_VERSION });
          break;
        case "worker":
          this.announced.set(message.capability.toString("hex"), message.uid);
          this.workerUids.push(message.uid);
          channel.send({ type: "announced", capability: message.capability });
          break;
        case "reports":
          for (const report of message.reports) this.reports.set(report.delivery, report);
          break;
        case "fetch": {
          this.fetches++;
          const bytes = this.bodies.get(message.message) ?? Buffer.alloc(0);
          for (let at = 0; at === 0 || at < bytes.length; at += 65536) {
            const last = at + 65536 >= bytes.length;
            const piece = bytes.subarray(at, at + 65536);
            channel.send({ type: "chunk", message: message.message, last, bytes: piece });
          }
          break;
        }
        case "open":
          open.set(message.session, {
            key: message.key,
            sender: "",
            recipients: [],
            body: Buffer.alloc(0),
            parts: [],
            uid,
          });
          break;
        case "body":
          open.get(message.session)?.parts.push(Buffer.from(message.bytes));
          channel.send({
            type: "credit",
            session: message.session,
            bytes: message.bytes.length,
          });
          break;
        case "sender": {
          const mail = open.get(message.session);
          if (mail) mail.sender = message.address;
          break;
        }
        case "recipients":
          open
            .get(message.session)
            ?.recipients.push(...message.packed.toString().split("\0").slice(0, -1));
          break;
        case "commit": {
          const mail = open.get(message.session);
          if (!mail) break;
          const known = mail.key ? this.keys.get(mail.key) : undefined;
          if (known === undefined) {
            mail.body = Buffer.concat(mail.parts);
            this.mails.push(mail);
          }
          const id = known ?? this.mails.length;
          if (mail.key) this.keys.set(mail.key, id);
          channel.send({ type: "accepted", session: message.session, id });
          break;
        }
        default:
          break;
      }
    };
    const channel: Channel<QueueMessage, QueueMessage> = new Channel(
      socket,
      writeQueue,
      readQueue,
      {
        message: (message) => {
          for (const part of message.type === "mail" ? unfold(message) : [message]) receive(part);
          this.touched();
        },
        closed: () => {},
      },
    );
  }
}
