/**
 * A real qmail-send process in a home of its own, with this test in the place of qmail-start,
 * qmail-smtpd, qmail-lspawn and qmail-rspawn. Every peer speaks the real channel protocol.
 */

import { type ChildProcess, spawn } from "node:child_process";
import { randomBytes } from "node:crypto";
import { EventEmitter, once } from "node:events";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { connect, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import type { Duplex } from "node:stream";
import { fileURLToPath } from "node:url";
import type { Urgency } from "../../src/lib/queue-door.ts";
import { type AdminMessage, readAdmin, writeAdmin } from "../../src/mta/channel/admin-messages.ts";
import { Channel } from "../../src/mta/channel/channel.ts";
import {
  type ControlMessage,
  readControl,
  writeControl,
} from "../../src/mta/channel/control-messages.ts";
import { BODY_CHUNK, PROTOCOL_VERSION, type Role } from "../../src/mta/channel/protocol.ts";
import {
  carriedBytes,
  type QueueMessage,
  readQueue,
  type WholeMail,
  writeQueue,
} from "../../src/mta/channel/queue-messages.ts";

const entry = join(dirname(fileURLToPath(import.meta.url)), "../../dist/qmail-send.entry.js");

/** A home with control files; `remove` deletes it. */
export function makeHome(control: Record<string, string> = {}): { home: string; remove(): void } {
  const home = mkdtempSync(join(tmpdir(), "qmail-send-"));
  for (const dir of ["control", "queue/drop", "queue/lock"]) {
    mkdirSync(join(home, dir), { recursive: true });
  }
  const all = { me: "mx.test", locals: "local.test", ...control };
  for (const [name, text] of Object.entries(all)) {
    writeFileSync(join(home, "control", name), `${text}\n`);
  }
  return { home, remove: () => rmSync(home, { recursive: true, force: true }) };
}

/** Wait until `check` answers something, with a limit. */
export async function eventually<T>(check: () => T | undefined | false, what: string): Promise<T> {
  for (let tries = 0; tries < 800; tries++) {
    const found = check();
    if (found !== undefined && found !== false) return found;
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
  throw new Error(`never happened: ${what}`);
}

export class QmailSendProcess {
  readonly home: string;
  readonly child: ChildProcess;
  readonly control: Channel<ControlMessage, ControlMessage>;
  readonly events = new EventEmitter();
  log = "";
  failed: string | undefined;
  readonly exited: Promise<number | NodeJS.Signals>;
  private readonly peers: Peer[] = [];
  ready = false;

  constructor(home: string, env: Record<string, string> = {}) {
    this.home = home;
    this.child = spawn(process.execPath, [entry], {
      stdio: ["ignore", "pipe", "inherit", "pipe"],
      env: { ...process.env, ...env },
    });
    this.exited = once(this.child, "exit").then(([code, signal]) => signal ?? code);
    this.child.stdout?.on("data", (chunk: Buffer) => {
      this.log += chunk.toString();
    });
    this.control = new Channel<ControlMessage, ControlMessage>(
      this.child.stdio[3] as Duplex,
      writeControl,
      readControl,
      {
        message: (message) => {
          if (message.type === "ready") this.ready = true;
          if (message.type === "failed") this.failed = message.text;
        },
        closed: () => {},
      },
    );
    this.control.send({
      type: "start",
      version: PROTOCOL_VERSION,
      home,
      root: home,
      capability: Buffer.alloc(0),
      defaultDelivery: "./Mailbox",
      listeners: [],
    });
  }

  /** Resolves with true when it serves, with false when it ended instead. */
  async started(): Promise<boolean> {
    let gone = false;
    void this.exited.then(() => {
      gone = true;
    });
    await eventually(() => this.ready || gone, "qmail-send serves");
    return this.ready;
  }

  async peer(role: Role, uid = 1000, socket: "intake" | "deliver" = "deliver"): Promise<Peer> {
    const capability = randomBytes(32);
    this.control.send({ type: "announce", capability, role, uid });
    this.control.flush();
    // The announcement travels on another socket than the hello.
    for (let tries = 0; ; tries++) {
      const peer = await Peer.connect(join(this.home, "queue", socket), capability);
      if (peer) {
        this.peers.push(peer);
        return peer;
      }
      if (tries > 200) throw new Error("no welcome");
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
  }

  /** One admin verb: exit code and text. */
  async ask(verb: string): Promise<{ code: number; text: string }> {
    const socket = connect(join(this.home, "queue", "admin"));
    await once(socket, "connect");
    return new Promise((resolve, reject) => {
      let text = "";
      const channel = new Channel<AdminMessage, AdminMessage>(socket, writeAdmin, readAdmin, {
        message: (m) => {
          if (m.type === "text") text += m.text;
          if (m.type === "end") resolve({ code: m.code, text });
        },
        closed: (error) => reject(error ?? new Error("closed")),
      });
      channel.send({ type: "ask", version: PROTOCOL_VERSION, verb });
    });
  }

  line(pattern: RegExp): Promise<RegExpExecArray> {
    return eventually(
      () => pattern.exec(this.log) ?? undefined,
      `log line ${pattern} in:\n${this.log}`,
    );
  }

  /** TERM by control message; resolves with the exit code. */
  async stop(): Promise<number | NodeJS.Signals> {
    this.control.send({ type: "stop" });
    const code = await this.exited;
    for (const peer of this.peers) peer.close();
    return code;
  }

  async kill(): Promise<void> {
    this.child.kill("SIGKILL");
    await this.exited;
    for (const peer of this.peers) peer.close();
  }
}

export interface Work {
  readonly message: number;
  readonly token: Buffer;
  readonly sender: string;
  readonly delivery: number;
  readonly original: string;
  readonly recipient: string;
  readonly deliveryKey: string;
  readonly sizeBytes: number;
  readonly prefix: string;
}

export type SubmitAnswer = QueueMessage & { type: "accepted" | "refused" };

/** One connection to qmail-send. */
export class Peer {
  readonly socket: Socket;
  readonly channel: Channel<QueueMessage, QueueMessage>;
  closed = false;
  /** Work received, one entry per delivery. */
  readonly work: Work[] = [];
  slots: number[] = [];
  readonly bodies = new Map<number, Buffer[]>();
  readonly answers = new Map<number, SubmitAnswer>();
  private readonly credit = new Map<number, number>();
  private decide: ((work: Work) => "K" | "Z" | "D" | undefined) | undefined;
  text: Record<"K" | "Z" | "D", string> = { K: "ok\n", Z: "later\n", D: "no (#5.0.0)\n" };
  private sessions = 0;
  private welcomed = false;

  private constructor(socket: Socket) {
    this.socket = socket;
    this.channel = new Channel<QueueMessage, QueueMessage>(socket, writeQueue, readQueue, {
      message: (m) => this.received(m),
      closed: () => {
        this.closed = true;
      },
    });
  }

  static async connect(path: string, capability: Buffer): Promise<Peer | undefined> {
    const socket = connect(path);
    await once(socket, "connect");
    const peer = new Peer(socket);
    peer.channel.send({ type: "hello", version: PROTOCOL_VERSION, capability });
    await eventually(() => peer.welcomed || peer.closed, "welcome");
    return peer.welcomed ? peer : undefined;
  }

  private received(m: QueueMessage): void {
    if (m.type === "welcome") this.welcomed = true;
    else if (m.type === "accepted" || m.type === "refused") this.answers.set(m.session, m);
    else if (m.type === "credit") {
      this.credit.set(m.session, (this.credit.get(m.session) ?? 0) + m.bytes);
    } else if (m.type === "chunk") {
      const parts = this.bodies.get(m.message) ?? [];
      parts.push(Buffer.from(m.bytes));
      this.bodies.set(m.message, parts);
    } else if (m.type === "remote") {
      this.slots.push(m.recipients.length);
      m.recipients.forEach((r, at) => {
        this.take({
          message: m.message,
          token: m.token,
          sender: m.sender,
          delivery: m.first + at,
          original: r.original,
          recipient: r.routed,
          deliveryKey: "",
          sizeBytes: m.sizeBytes,
          prefix: m.prefix,
        });
      });
    } else if (m.type === "local") this.take(m);
  }

  /** Decides each delivery as it comes, and those that came before; undefined leaves it open. */
  set deliver(decide: (work: Work) => "K" | "Z" | "D" | undefined) {
    const before = this.decide ? [] : this.work.slice();
    this.decide = decide;
    for (const work of before) this.settle(work);
  }

  private take(work: Work): void {
    this.work.push(work);
    this.settle(work);
  }

  private settle(work: Work): void {
    const verdict = this.decide?.(work);
    if (verdict) this.report(work.delivery, verdict);
  }

  report(delivery: number, verdict: "K" | "Z" | "D"): void {
    this.channel.send({
      type: "reports",
      reports: [{ delivery, verdict, text: this.text[verdict] }],
    });
  }

  body(message: number): string {
    return Buffer.concat(this.bodies.get(message) ?? []).toString("latin1");
  }

  /** Hand in a message, in one frame if it fits; resolves with the answer, undefined when the connection broke. */
  async submit(mail: {
    from: string;
    to: readonly string[];
    body: string | Buffer;
    key?: string;
    urgency?: Urgency;
    prefix?: string;
  }): Promise<SubmitAnswer | undefined> {
    const session = ++this.sessions;
    const send = (m: QueueMessage) => this.channel.send(m);
    const { key = "", urgency = "normal", prefix = "" } = mail;
    const body = Buffer.from(mail.body);
    const whole: WholeMail = {
      type: "mail",
      session,
      key,
      urgency,
      prefix,
      sender: mail.from,
      recipients: mail.to.map((r) => `${r}\0`).join(""),
      body: [body],
    };
    if (carriedBytes(whole) <= BODY_CHUNK) {
      send(whole);
      await eventually(() => this.answers.has(session) || this.closed, "answer");
      return this.answers.get(session);
    }
    send({ type: "open", session, key, urgency, prefix });
    let room = 262_144;
    const wait = async (bytes: number): Promise<void> => {
      const given = (): number => this.credit.get(session) ?? 0;
      if (room < bytes) await eventually(() => room + given() >= bytes || this.closed, "credit");
      room += given() - bytes;
      this.credit.delete(session);
    };
    for (let at = 0; at < body.length; at += 65536) {
      const bytes = body.subarray(at, at + 65536);
      await wait(bytes.length);
      send({ type: "body", session, bytes });
    }
    send({ type: "sender", session, address: mail.from });
    for (let at = 0; at < mail.to.length; at += 1000) {
      const packed = Buffer.from(
        mail.to
          .slice(at, at + 1000)
          .map((r) => `${r}\0`)
          .join(""),
      );
      await wait(packed.length);
      send({ type: "recipients", session, packed });
    }
    send({ type: "commit", session });
    await eventually(() => this.answers.has(session) || this.closed, "answer");
    return this.answers.get(session);
  }

  close(): void {
    this.socket.destroy();
  }
}
