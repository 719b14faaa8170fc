/**
 * The server end of the queue channel for tests: a real unix socket, every message recorded, verdicts
 * and credit by script. Keeps bodies whole unless told to count only.
 */

import { mkdtempSync, rmSync } from "node:fs";
import { createServer, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Urgency } from "../../src/lib/queue-door.ts";
import { Channel } from "../../src/mta/channel/channel.ts";
import { PROTOCOL_VERSION, type Verdict } from "../../src/mta/channel/protocol.ts";
import {
  type QueueMessage,
  readQueue,
  unfold,
  writeQueue,
} from "../../src/mta/channel/queue-messages.ts";

export interface QueuedMail {
  readonly session: number;
  readonly key: string;
  readonly urgency: Urgency;
  sender: string | undefined;
  recipients: string[];
  body: Buffer;
  bodyBytes: number;
}

export interface FakeQueueScript {
  /** Default: accept. `hold` answers nothing; `cut` closes the connection instead. */
  verdict?(mail: QueuedMail): { verdict: Verdict; text: string } | "hold" | "cut" | undefined;
  /** Give credit back at once (default) or only by `grant`. */
  autoCredit?: boolean;
  /** Count body bytes instead of keeping them. */
  sink?: boolean;
  /** Bodies for `fetch`. */
  bodies?: Map<number, Buffer>;
  capability?: Buffer;
  refuseHello?: boolean;
}

export class FakeQueue {
  readonly path: string;
  readonly dir: string;
  readonly script: FakeQueueScript;
  /** Committed mails that were accepted, in order. */
  readonly mails: QueuedMail[] = [];
  readonly log: QueueMessage[] = [];
  /** What came in with one read of the socket, in bytes. */
  readonly reads: number[] = [];
  aborted = 0;
  private readonly server;
  private readonly peers = new Set<Peer>();
  private waiters: (() => void)[] = [];
  private lastId = 1000;

  private constructor(script: FakeQueueScript, dir: string, path: string) {
    this.script = script;
    this.dir = dir;
    this.path = path;
    this.server = createServer((socket) => {
      const peer = new Peer(this, socket);
      this.peers.add(peer);
      socket.on("close", () => {
        this.peers.delete(peer);
        this.touched();
      });
    });
  }

  /** Listening on `path`, or on a socket in a new directory of its own. */
  static async start(script: FakeQueueScript = {}, path?: string): Promise<FakeQueue> {
    const dir = mkdtempSync(join(tmpdir(), "fake-queue-"));
    const queue = new FakeQueue(script, dir, path ?? join(dir, "intake"));
    await new Promise<void>((resolve, reject) => {
      queue.server.once("error", reject);
      queue.server.listen(queue.path, resolve);
    });
    return queue;
  }

  /** Open client connections. */
  get connections(): number {
    return this.peers.size;
  }

  nextId(): number {
    return ++this.lastId;
  }

  touched(): void {
    const waiters = this.waiters;
    this.waiters = [];
    for (const wake of waiters) wake();
  }

  /** Wait until the condition holds; fails after `limitMs`. */
  async until(condition: () => boolean, limitMs = 8000): Promise<void> {
    const deadline = Date.now() + limitMs;
    while (!condition()) {
      const left = deadline - Date.now();
      if (left <= 0) throw new Error("the fake queue waited in vain");
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, left);
        this.waiters.push(() => {
          clearTimeout(timer);
          resolve();
        });
      });
    }
  }

  /** Say something to every client. */
  tell(message: QueueMessage): void {
    for (const peer of this.peers) peer.channel.send(message);
  }

  /** Stop or go on reading. */
  pause(): void {
    for (const peer of this.peers) peer.channel.pause();
  }

  resume(): void {
    for (const peer of this.peers) peer.channel.resume();
  }

  /** Cut every connection, as a crash of the server would. */
  cut(): void {
    for (const peer of this.peers) peer.channel.destroy();
  }

  async stop(): Promise<void> {
    this.cut();
    await new Promise<void>((resolve) => {
      this.server.close(() => resolve());
    });
    rmSync(this.dir, { recursive: true, force: true });
  }
}

class Peer {
  readonly channel: Channel<QueueMessage, QueueMessage>;
  private readonly queue: FakeQueue;
  private readonly open = new Map<number, QueuedMail & { parts: Buffer[] }>();

  constructor(queue: FakeQueue, socket: Socket) {
    this.queue = queue;
    socket.on("data", (chunk: Buffer) => queue.reads.push(chunk.length));
    this.channel = new Channel<QueueMessage, QueueMessage>(socket, writeQueue, readQueue, {
      message: (message) => {
        this.receive(message);
        queue.touched();
      },
      closed: () => {
        queue.aborted += this.open.size;
        this.open.clear();
        queue.touched();
      },
    });
  }

  private receive(message: QueueMessage): void {
    const { script } = this.queue;
    if (message.type === "hello") {
      const wanted = script.capability;
      const known = !script.refuseHello && (!wanted || wanted.equals(message.capability));
      if (known) this.channel.send({ type: "welcome", version: PROTOCOL_VERSION });
      else this.channel.destroy();
      return;
    }
    if (message.type === "mail") {
      for (const part of unfold(message)) this.receive(part);
      return;
    }
    if (!script.sink) this.queue.log.push(keep(message));
    switch (message.type) {
      case "open":
        this.open.set(message.session, {
          session: message.session,
          key: message.key,
          urgency: message.urgency,
          sender: undefined,
          recipients: [],
          body: Buffer.alloc(0),
          bodyBytes: 0,
          parts: [],
        });
        break;
      case "body": {
        const mail = this.open.get(message.session);
        if (!mail) break;
        mail.bodyBytes += message.bytes.length;
        if (!script.sink) mail.parts.push(Buffer.from(message.bytes));
        this.credit(message.session, message.bytes.length);
        break;
      }
      case "sender": {
        const mail = this.open.get(message.session);
        if (mail) mail.sender = message.address;
        break;
      }
      case "recipients": {
        const names = message.packed.toString("utf8").split("\0").slice(0, -1);
        const mail = this.open.get(message.session);
        for (const name of names) mail?.recipients.push(name);
        this.credit(message.session, message.packed.length);
        break;
      }
      case "commit":
        this.commit(message.session);
        break;
      case "abort":
        if (this.open.delete(message.session)) this.queue.aborted++;
        break;
      case "fetch": {
        const body = script.bodies?.get(message.message);
        if (!body) {
          this.channel.destroy();
          break;
        }
        for (let at = 0; at < body.length || at === 0; at += 65536) {
          const bytes = body.subarray(at, at + 65536);
          const last = at + 65536 >= body.length;
          this.channel.send({ type: "chunk", message: message.message, last, bytes });
        }
        break;
      }
      default:
        this.channel.destroy();
    }
  }

  private commit(session: number): void {
    const mail = this.open.get(session);
    if (!mail) return;
    mail.body = Buffer.concat(mail.parts);
    const said = this.queue.script.verdict?.(mail);
    if (said === "hold") return;
    if (said === "cut") {
      this.channel.destroy();
      return;
    }
    this.open.delete(session);
    if (said) {
      this.channel.send({ type: "refused", session, ...said });
      return;
    }
    if (!this.queue.script.sink) this.queue.mails.push(mail);
    this.channel.send({ type: "accepted", session, id: this.queue.nextId() });
  }

  private credit(session: number, bytes: number): void {
    if (this.queue.script.autoCredit !== false) {
      this.channel.send({ type: "credit", session, bytes });
    }
  }
}

/** Frames are views into the read buffer; a record outlives it. */
function keep(message: QueueMessage): QueueMessage {
  if (message.type === "body") return { ...message, bytes: Buffer.from(message.bytes) };
  if (message.type === "recipients") return { ...message, packed: Buffer.from(message.packed) };
  return message;
}
