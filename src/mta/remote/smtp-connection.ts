/**
 * One connection to one server: TCP, hello, TLS, then one transaction after the other (MailDialogue),
 * and its end. When it is lost, a transaction whose last byte was not sent goes back to its job; one
 * whose last byte was sent is in doubt and is reported as such (`Possible duplicate!`).
 */
import { createConnection, isIP, type Socket } from "node:net";
import { connect as connectTls } from "node:tls";
import type { Timed } from "../../lib/deadlines.ts";
import type { ConnectionResources } from "./connection-resources.ts";
import { type Extensions, Handshake, type Step } from "./handshake.ts";
import { MailDialogue } from "./mail-dialogue.ts";
import type { Target } from "./mx.ts";
import { outcomes } from "./outcome-text.ts";
import { ReplyReader, replyText } from "./reply.ts";
import { SendBuffer } from "./send-buffer.ts";
import type { Credentials } from "./smtp-route.ts";
import type { Outcome, Transaction } from "./transaction.ts";
import type { WireBody } from "./wire-body.ts";

export interface ConnectionSettings {
  readonly heloHost: string;
  readonly connectSeconds: number;
  readonly replySeconds: number;
  readonly idleSeconds: number;
  readonly useTls: boolean;
  readonly credentials: Credentials | undefined;
}

/** Why no session came about. */
export interface Refusal {
  /** Undefined: no connection at all. */
  readonly outcome: Outcome | undefined;
  readonly tryNext: boolean;
  readonly timedOut: boolean;
  /** TLS failed: worth another try at the same server, with a new session or in the clear. */
  readonly again: "tls" | "clear" | undefined;
}

export interface ConnectionOwner {
  /** TCP stands. */
  connected(connection: SmtpConnection): void;
  /** Hello is done: ask `next` from now on. */
  established(connection: SmtpConnection): void;
  /** Instead of `established`; the connection is closed. */
  refused(connection: SmtpConnection, refusal: Refusal): void;
  next(connection: SmtpConnection): Transaction | undefined;
  /** Try this one again, on another connection. */
  putBack(transaction: Transaction): void;
  /** Nothing in flight and nothing next. `kick` when there is. */
  idle(connection: SmtpConnection): void;
  /** After `established`: closed, everything in flight settled or put back. */
  gone(connection: SmtpConnection): void;
}

/** How long the other side gets to take what is left and to close. */
const QUIT_MS = 2000;

export class SmtpConnection implements Timed {
  readonly target: Target;
  deadline: number;
  private readonly resources: ConnectionResources;
  private readonly settings: ConnectionSettings;
  private readonly owner: ConnectionOwner;
  private readonly handshake: Handshake;
  private readonly reader: ReplyReader;
  private readonly out: SendBuffer;
  private socket: Socket;
  private phase: "connecting" | "hello" | "mail" | "closed" = "connecting";
  private readonly mostMessages: number;
  private closedAfter: number | undefined;
  private dialogue: MailDialogue | undefined;

  /** `mostMessages`: transactions on this connection. */
  constructor(
    target: Target,
    settings: ConnectionSettings,
    mostMessages: number,
    resources: ConnectionResources,
    owner: ConnectionOwner,
  ) {
    this.target = target;
    this.resources = resources;
    this.settings = settings;
    this.mostMessages = mostMessages;
    this.owner = owner;
    this.handshake = new Handshake({
      ip: target.address,
      heloHost: settings.heloHost,
      useTls: settings.useTls,
      credentials: settings.credentials,
      extensions: resources.extensions,
    });
    this.reader = new ReplyReader((code, data, from, to) => this.reply(code, data, from, to));
    const options = {
      host: target.address,
      port: target.port,
      noDelay: true,
      // What node sets in a copy of these options. A literal that has it keeps its hidden class there;
      // else V8 makes new ones for every socket, which is 9 us of the 10 to construct one.
      allowHalfOpen: false,
      emitClose: false,
      autoDestroy: true,
      decodeStrings: false,
      // Without it every read allocates 64 KiB and passes through a stream: a quarter of the time.
      onread: {
        buffer: resources.readBuffer,
        callback: (size: number) => {
          this.received(resources.readBuffer.subarray(0, size));
          return true;
        },
      },
    };
    const socket = createConnection(options);
    this.socket = socket;
    this.out = new SendBuffer(resources, socket);
    this.deadline = this.in(settings.connectSeconds);
    resources.deadlines.watch(this);
    socket.once("connect", () => {
      if (this.phase !== "connecting") return;
      this.phase = "hello";
      this.deadline = this.in(settings.replySeconds);
      this.owner.connected(this);
    });
    this.listen(socket);
  }

  private in(seconds: number): number {
    return this.resources.deadlines.now() + seconds * 1000;
  }

  private listen(socket: Socket): void {
    let errorCode: string | undefined;
    socket.on("error", (error: NodeJS.ErrnoException) => {
      errorCode = error.code;
    });
    socket.on("end", () => {
      this.peerCloses(false);
      this.lost(false);
      socket.destroy();
    });
    socket.on("close", () => {
      this.lost(errorCode === "ETIMEDOUT");
      this.resources.deadlines.forget(this);
    });
  }

  private received(bytes: Buffer): void {
    // Somebody who is silent forever is noticed; when exactly does not matter.
    if (this.phase === "hello" || this.dialogue?.busy) {
      this.deadline = this.in(this.settings.replySeconds);
    }
    this.reader.push(bytes);
    this.out.flush();
  }

  /** It was given work and finished none. */
  get barren(): boolean {
    return this.dialogue?.barren === true;
  }

  /** The messages it had taken when it closed although it was given another. */
  get peerClosedAfter(): number | undefined {
    return this.closedAfter;
  }

  /** There may be work: ask the owner, write what can be written. */
  kick(): void {
    if (this.phase !== "mail") return;
    this.dialogue?.pump();
    this.out.flush();
  }

  /** End in good order. What is in flight is lost; meant for idle connections. */
  quit(): void {
    if (this.phase !== "mail") {
      this.destroy();
      return;
    }
    this.out.text("QUIT\r\n");
    this.out.flush();
    const { socket } = this;
    socket.end();
    socket.unref();
    this.finish(false);
  }

  /** End at once, as if the peer had gone. */
  destroy(): void {
    this.lost(false);
    this.socket.destroy();
  }

  // ---- the end ------------------------------------------------------------------------------

  expired(): void {
    if (this.phase === "connecting") this.refuse(true);
    else if (this.phase === "mail" && !this.dialogue?.busy) this.quit();
    else this.destroy();
  }

  private peerCloses(untaken: boolean): void {
    if (this.phase === "mail") this.closedAfter = this.dialogue?.takenBeforeNext(untaken);
  }

  private lost(timedOut: boolean): void {
    if (this.phase === "connecting") this.refuse(timedOut);
    else if (this.phase === "hello") this.refuse(false);
    else if (this.phase === "mail") this.finish(false);
  }

  /** No session. `outcome` when the peer said why, else the connection died or never was. */
  private refuse(
    timedOut: boolean,
    outcome?: Outcome,
    tryNext = true,
    again?: Refusal["again"],
  ): void {
    if (this.phase === "closed") return;
    const silent = this.phase === "connecting" ? undefined : outcomes.died(this.target.address);
    this.phase = "closed";
    this.deadline = this.resources.deadlines.now() + QUIT_MS;
    this.reader.stop();
    if (outcome) this.socket.end("QUIT\r\n");
    this.socket.destroySoon();
    this.owner.refused(this, { outcome: outcome ?? silent, tryNext, timedOut, again });
  }

  /** The session is over. `untaken`: the peer said it takes nothing of what is in flight. */
  private finish(untaken: boolean): void {
    if (this.phase !== "mail") return;
    this.phase = "closed";
    this.deadline = this.resources.deadlines.now() + QUIT_MS;
    this.reader.stop();
    this.dialogue?.end(untaken);
    this.owner.gone(this);
  }

  // ---- hello --------------------------------------------------------------------------------

  private step(step: Step): void {
    switch (step.type) {
      case "send":
        this.out.text(step.text);
        return;
      case "tls":
        this.secure();
        return;
      case "ready":
        this.phase = "mail";
        this.dialogue = this.begin(step.extensions);
        this.owner.established(this);
        return;
      case "failed":
        this.refuse(false, step.outcome, step.tryNext);
        return;
      default:
        step satisfies never;
    }
  }

  /** Any certificate will do: against a listener this is better than nothing, and mail must flow. */
  private secure(): void {
    const plain = this.socket;
    for (const event of ["error", "end", "close"]) plain.removeAllListeners(event);
    plain.on("error", () => {});
    const { resources } = this;
    const { name, address, port } = this.target;
    const server = `${name} ${address} ${port}`;
    const session = resources.session(server);
    const secure = connectTls({
      socket: plain,
      secureContext: resources.tlsContext,
      rejectUnauthorized: false,
      ...(isIP(name) === 0 && /^[\w.-]+$/.test(name) ? { servername: name } : {}),
      ...(session ? { session } : {}),
    });
    this.socket = secure;
    this.out.redirect(secure);
    secure.on("session", (fresh: Buffer) => resources.keepSession(server, fresh));
    secure.on("data", (chunk: Buffer) => this.received(chunk));
    let shaken = false;
    const failed = (again: Refusal["again"]): void => {
      if (shaken) return;
      // Who stumbles over an old session is neither spoken to in the clear nor offered it for ever.
      if (session) resources.dropSession(server);
      this.refuse(false, undefined, true, session ? "tls" : again);
    };
    secure.once("end", () => failed(undefined));
    secure.on("error", () => failed("clear"));
    secure.once("close", () => failed("clear"));
    secure.once("secureConnect", () => {
      shaken = true;
      this.deadline = this.in(this.settings.replySeconds);
      this.step(this.handshake.secured());
      this.out.flush();
    });
    this.listen(secure);
  }

  // ---- replies ------------------------------------------------------------------------------

  private reply(code: number, data: Buffer, from: number, to: number): void {
    if (this.phase === "hello") {
      const step = this.handshake.reply(code, replyText(data, from, to));
      // RFC 3207 4: bytes behind the reply to STARTTLS were put there by somebody in between.
      if (step.type === "tls" && to < data.length) {
        this.refuse(false, undefined, true);
        return;
      }
      this.step(step);
      return;
    }
    if (this.phase === "mail") this.dialogue?.reply(code, data, from, to);
  }

  // ---- mail ---------------------------------------------------------------------------------

  private begin(extensions: Extensions): MailDialogue {
    const { settings, owner, out, target } = this;
    return new MailDialogue({
      ip: target.address,
      extensions,
      mostMessages: this.mostMessages,
      out,
      next: () => owner.next(this),
      putBack: (transaction) => owner.putBack(transaction),
      stream: (body, last) => this.stream(body, last),
      begins: () => {
        this.deadline = this.in(settings.replySeconds);
      },
      rests: () => this.rests(),
      // What it says to QUIT nobody waits for (RFC 5321 4.1.1.10 leaves that open): every message is answered.
      exhausted: (saidQuit) => (saidQuit ? this.destroy() : this.quit()),
      breakOff: (untaken) => {
        if (untaken) this.peerCloses(true);
        this.finish(untaken);
        this.socket.destroySoon();
      },
    });
  }

  private rests(): void {
    this.out.flush();
    this.deadline = this.in(this.settings.idleSeconds);
    this.owner.idle(this);
  }

  private async stream(body: WireBody, last: () => void): Promise<void> {
    let left = body.sizeBytes;
    this.out.flush();
    for await (const piece of body.chunks()) {
      if (this.phase !== "mail") return;
      left -= piece.length;
      if (left === 0) last();
      if (!this.socket.write(piece)) await this.drained();
      this.deadline = this.in(this.settings.replySeconds);
    }
  }

  private async drained(): Promise<void> {
    const { socket } = this;
    if (!socket.writableNeedDrain || socket.destroyed) return;
    await new Promise<void>((resolve) => {
      const done = (): void => {
        socket.off("drain", done);
        socket.off("close", done);
        resolve();
      };
      socket.on("drain", done);
      socket.on("close", done);
    });
  }
}
