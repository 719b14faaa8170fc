/**
 * One connection to one server, over which transaction after transaction goes. Where PIPELINING is
 * offered, MAIL, RCPT and DATA leave in one write, and after 354 the body leaves together with the
 * next MAIL, RCPT and DATA. Where CHUNKING is offered too, whole transactions follow each other
 * without waiting. Else one command at a time.
 *
 * Replies belong to the oldest transaction in flight. When the connection is lost, a transaction
 * whose last byte was not sent goes back to its job; one whose last byte was sent is in doubt and is
 * reported as such (`Possible duplicate!`). RFC 5321, 2920, 3030, 1870, 6152, 6531.
 */
import { createConnection, isIP, type Socket } from "node:net";
import { connect as connectTls } from "node:tls";
import { type Extensions, Handshake, type Step } from "./handshake.ts";
import type { Target } from "./mx.ts";
import { outcomes } from "./outcome-text.ts";
import { ReplyReader, replyText } from "./reply.ts";
import { SendBuffer } from "./send-buffer.ts";
import type { Credentials } from "./smtp-route.ts";
import type { Outcome, RemoteAddressee, Transaction } from "./transaction.ts";

export interface ConnectionSettings {
  readonly heloHost: string;
  readonly connectSeconds: number;
  readonly replySeconds: number;
  readonly idleSeconds: number;
  /** Transactions on one connection. */
  readonly mostMessages: number;
  readonly useTls: boolean;
  readonly credentials: Credentials | undefined;
}

/** Why no session came about. */
export interface Refusal {
  /** Undefined: no connection at all. */
  readonly outcome: Outcome | undefined;
  readonly tryNext: boolean;
  readonly timedOut: boolean;
  /** TLS failed: worth another try without. */
  readonly tls: boolean;
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

type Stage = "rset" | "mail" | "rcpt" | "data" | "final";

/** A transaction on the wire. */
interface Flight {
  readonly transaction: Transaction;
  readonly chunking: boolean;
  stage: Stage;
  /** Index of the recipient whose reply comes next. */
  at: number;
  accepted: number;
  /** The last byte of the message was handed to the socket. */
  sent: boolean;
  /** Recipients the server had no room for after it took others: next transaction. */
  later: { one: RemoteAddressee; outcome: Outcome }[];
}

/** Transactions sent ahead of their replies with BDAT, and their bytes. */
const DEPTH = 16;
const DEPTH_BYTES = 262144;
/** Tries lost with connections that carried nothing. */
const MOST_LOST = 2;

export class SmtpConnection {
  readonly target: Target;
  private readonly settings: ConnectionSettings;
  private readonly owner: ConnectionOwner;
  private readonly handshake: Handshake;
  private readonly reader: ReplyReader;
  private readonly out: SendBuffer;
  private socket: Socket;
  private phase: "connecting" | "hello" | "mail" | "closed" = "connecting";
  private extensions: Extensions | undefined;
  private connectTimer: NodeJS.Timeout | undefined;
  private readonly flights: Flight[] = [];
  private flightBytes = 0;
  /** An envelope is out whose DATA is not answered, or a body is being streamed: nothing may follow. */
  private blocked = false;
  private needReset = false;
  private started = 0;
  private completed = 0;
  private pumping = false;

  constructor(target: Target, settings: ConnectionSettings, owner: ConnectionOwner) {
    this.target = target;
    this.settings = settings;
    this.owner = owner;
    this.handshake = new Handshake({
      ip: target.address,
      heloHost: settings.heloHost,
      useTls: settings.useTls,
      credentials: settings.credentials,
    });
    this.reader = new ReplyReader((code, data, from, to) => this.reply(code, data, from, to));
    const socket = createConnection({ host: target.address, port: target.port, noDelay: true });
    this.socket = socket;
    this.out = new SendBuffer(socket);
    this.connectTimer = setTimeout(() => this.refuse(true), settings.connectSeconds * 1000);
    socket.once("connect", () => {
      clearTimeout(this.connectTimer);
      this.phase = "hello";
      this.owner.connected(this);
      socket.setTimeout(settings.replySeconds * 1000, () => this.timedOut());
    });
    this.listen(socket);
  }

  private listen(socket: Socket): void {
    let errorCode: string | undefined;
    socket.on("data", (chunk: Buffer) => {
      this.reader.push(chunk);
      this.out.flush();
    });
    socket.on("error", (error: NodeJS.ErrnoException) => {
      errorCode = error.code;
    });
    const over = (): void => this.lost(errorCode === "ETIMEDOUT");
    socket.on("end", over);
    socket.on("close", over);
  }

  /** It was given work and finished none. */
  get barren(): boolean {
    return this.started > 0 && this.completed === 0;
  }

  /** There may be work: ask the owner, write what can be written. */
  kick(): void {
    if (this.phase !== "mail") return;
    this.pump();
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
    socket.setTimeout(2000, () => socket.destroy());
    socket.unref();
    this.finish(false);
  }

  /** End at once, as if the peer had gone. */
  destroy(): void {
    this.lost(false);
    this.socket.destroy();
  }

  // ---- the end ------------------------------------------------------------------------------

  private timedOut(): void {
    if (this.phase === "mail" && this.flights.length === 0) this.quit();
    else this.destroy();
  }

  private lost(timedOut: boolean): void {
    if (this.phase === "connecting") this.refuse(timedOut);
    else if (this.phase === "hello") this.refuse(false);
    else if (this.phase === "mail") this.finish(false);
  }

  /** No session. `outcome` when the peer said why, else the connection died or never was. */
  private refuse(timedOut: boolean, outcome?: Outcome, tryNext = true, tls = false): void {
    if (this.phase === "closed") return;
    const silent = this.phase === "connecting" ? undefined : outcomes.died(this.target.address);
    this.phase = "closed";
    clearTimeout(this.connectTimer);
    this.reader.stop();
    if (outcome) this.socket.end("QUIT\r\n");
    this.socket.destroySoon();
    this.owner.refused(this, { outcome: outcome ?? silent, tryNext, timedOut, tls });
  }

  /** The session is over. `untaken`: the peer said it takes nothing of what is in flight. */
  private finish(untaken: boolean): void {
    if (this.phase !== "mail") return;
    this.phase = "closed";
    this.reader.stop();
    const ip = this.target.address;
    for (let flight = this.flights.pop(); flight; flight = this.flights.pop()) {
      const { transaction } = flight;
      if (flight.sent && !untaken) {
        for (const { one, outcome } of flight.later) transaction.settle(one, outcome);
        transaction.settleAll(outcomes.duplicate(ip));
      } else if (transaction.rewind()) {
        if (this.completed === 0 && ++transaction.lost > MOST_LOST) {
          transaction.settleAll(outcomes.died(ip));
        } else this.owner.putBack(transaction);
      }
    }
    this.owner.gone(this);
  }

  /** Close a session the peer broke off or that cannot be followed any more. */
  private breakOff(untaken: boolean): void {
    this.finish(untaken);
    this.socket.destroySoon();
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
        this.extensions = step.extensions;
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
    for (const event of ["data", "error", "end", "close", "timeout"])
      plain.removeAllListeners(event);
    plain.setTimeout(0);
    plain.on("error", () => {});
    const name = this.target.name;
    const secure = connectTls({
      socket: plain,
      rejectUnauthorized: false,
      ...(isIP(name) === 0 && /^[\w.-]+$/.test(name) ? { servername: name } : {}),
    });
    this.socket = secure;
    this.out.redirect(secure);
    let shaken = false;
    secure.on("error", () => {
      if (!shaken) this.refuse(false, undefined, true, true);
    });
    secure.once("close", () => {
      if (!shaken) this.refuse(false, undefined, true, true);
    });
    secure.setTimeout(this.settings.replySeconds * 1000, () => this.timedOut());
    secure.once("secureConnect", () => {
      shaken = true;
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
    if (this.phase !== "mail") return;
    const flight = this.flights[0];
    if (!flight) {
      this.breakOff(true);
      return;
    }
    const closing = code === 421 || code === 0;
    if (code === 421 && flight.stage !== "final" && this.completed > 0) {
      this.breakOff(true);
      return;
    }
    this.advance(flight, code, data, from, to);
    if (closing) {
      this.breakOff(code === 421);
      return;
    }
    this.pump();
  }

  private advance(flight: Flight, code: number, data: Buffer, from: number, to: number): void {
    const ip = this.target.address;
    const { transaction } = flight;
    const good = code >= 200 && code < 300;
    switch (flight.stage) {
      case "rset":
        flight.stage = "mail";
        return;
      case "mail":
        flight.stage = "rcpt";
        if (!good) {
          transaction.settleAll(outcomes.sender(ip, code, replyText(data, from, to)));
          if (!this.pipelining) this.complete(flight, true);
        } else if (!this.pipelining) this.sendRecipient(flight);
        return;
      case "rcpt":
        this.recipientReply(flight, code, good, data, from, to);
        return;
      case "data":
        if (code >= 300 && code < 400) {
          this.sendBody(flight);
          return;
        }
        this.blocked = false;
        transaction.settleAll(outcomes.data(ip, code, replyText(data, from, to)));
        this.complete(flight, true);
        return;
      case "final":
        this.finalReply(flight, code, good, data, from, to);
        return;
      default:
        flight.stage satisfies never;
    }
  }

  private recipientReply(
    flight: Flight,
    code: number,
    good: boolean,
    data: Buffer,
    from: number,
    to: number,
  ): void {
    const { transaction } = flight;
    const one = transaction.addressees[flight.at++] as RemoteAddressee;
    if (good) {
      if (!one.settled) {
        one.accepted = true;
        flight.accepted++;
      }
    } else if (!one.settled) {
      const ip = this.target.address;
      const outcome = outcomes.recipient(ip, code, replyText(data, from, to));
      // RFC 5321 4.5.3.1.10: too many recipients; the rest goes in another transaction.
      if (code === 452 && flight.accepted > 0) flight.later.push({ one, outcome });
      else transaction.settle(one, outcome);
    }
    if (flight.at < transaction.addressees.length) {
      if (!this.pipelining) this.sendRecipient(flight);
      return;
    }
    if (flight.chunking) flight.stage = "final";
    else if (this.pipelining) flight.stage = "data";
    else if (flight.accepted === 0) this.complete(flight, true);
    else {
      flight.stage = "data";
      this.out.text("DATA\r\n");
    }
  }

  private finalReply(
    flight: Flight,
    code: number,
    good: boolean,
    data: Buffer,
    from: number,
    to: number,
  ): void {
    const ip = this.target.address;
    const { transaction } = flight;
    const { later } = flight;
    if (flight.accepted > 0) {
      const text = replyText(data, from, to);
      // A yes to half a message is no yes.
      const known = good && !flight.sent ? 0 : code;
      const outcome =
        good && flight.sent ? outcomes.accepted(ip, text) : outcomes.message(ip, known, text);
      for (const one of transaction.addressees) if (one.accepted) transaction.settle(one, outcome);
      if (!good) for (const left of later) transaction.settle(left.one, left.outcome);
    }
    // Answered while the body is still on its way: there is no end to it but this.
    const early = !flight.sent;
    this.complete(flight, !good);
    if (later.length > 0 && transaction.rewind()) this.owner.putBack(transaction);
    if (early) this.breakOff(false);
  }

  private complete(flight: Flight, reset: boolean): void {
    this.flights.shift();
    this.flightBytes -= flight.transaction.job.body.sizeBytes;
    this.completed++;
    if (!flight.chunking && flight.stage !== "final") this.blocked = false;
    if (reset) this.needReset = true;
  }

  // ---- commands -----------------------------------------------------------------------------

  private get pipelining(): boolean {
    return this.extensions?.pipelining === true;
  }

  private get mayBegin(): boolean {
    if (this.phase !== "mail" || this.blocked || this.started >= this.settings.mostMessages) {
      return false;
    }
    if (this.flights.length === 0) return true;
    return this.pipelining && this.flights.length < DEPTH && this.flightBytes < DEPTH_BYTES;
  }

  private pump(): void {
    if (this.pumping) return;
    this.pumping = true;
    while (this.mayBegin) {
      const transaction = this.owner.next(this);
      if (!transaction) break;
      this.begin(transaction);
    }
    this.pumping = false;
    if (this.phase !== "mail" || this.flights.length > 0) return;
    if (this.started >= this.settings.mostMessages) {
      this.quit();
      return;
    }
    this.out.flush();
    this.socket.setTimeout(this.settings.idleSeconds * 1000);
    this.owner.idle(this);
  }

  private begin(transaction: Transaction): void {
    const extensions = this.extensions as Extensions;
    const { body } = transaction.job;
    if (transaction.utf8 && !extensions.smtpUtf8) {
      transaction.settleAll(outcomes.noUtf8(this.target.address));
      return;
    }
    if (this.flights.length === 0) this.socket.setTimeout(this.settings.replySeconds * 1000);
    const plain = extensions.chunking && this.pipelining ? body.plain : undefined;
    // Behind a BDAT transaction that fails the server may still be in it; RFC 3030 2.
    const reset = this.needReset || this.flights[this.flights.length - 1]?.chunking === true;
    this.needReset = false;
    const flight: Flight = {
      transaction,
      chunking: plain !== undefined,
      stage: reset ? "rset" : "mail",
      at: 0,
      accepted: 0,
      sent: plain !== undefined,
      later: [],
    };
    this.flights.push(flight);
    this.flightBytes += body.sizeBytes;
    this.started++;
    let commands = `${reset ? "RSET\r\n" : ""}MAIL FROM:<${transaction.sender.text}>`;
    if (extensions.size) commands += ` SIZE=${body.sizeBytes}`;
    if (extensions.eightBit && body.eightBit) commands += " BODY=8BITMIME";
    if (transaction.utf8) commands += " SMTPUTF8";
    commands += "\r\n";
    if (this.pipelining) {
      for (const one of transaction.addressees) commands += `RCPT TO:<${one.address.text}>\r\n`;
      commands += plain ? `BDAT ${plain.length} LAST\r\n` : "DATA\r\n";
    }
    this.blocked = plain === undefined;
    this.out.text(commands);
    if (plain) this.out.bytes(plain);
  }

  private sendRecipient(flight: Flight): void {
    const one = flight.transaction.addressees[flight.at] as RemoteAddressee;
    this.out.text(`RCPT TO:<${one.address.text}>\r\n`);
  }

  /** After 354. With nobody accepted the data is empty: whatever it is answered, nobody gets it. */
  private sendBody(flight: Flight): void {
    const { body } = flight.transaction.job;
    flight.stage = "final";
    if (flight.accepted === 0 || body.data) {
      flight.sent = true;
      this.blocked = false;
      if (flight.accepted === 0) this.out.text(".\r\n");
      else if (body.data) this.out.bytes(body.data);
      return;
    }
    void this.stream(flight);
  }

  private async stream(flight: Flight): Promise<void> {
    const { body } = flight.transaction.job;
    let left = body.sizeBytes;
    this.out.flush();
    try {
      for await (const piece of body.chunks()) {
        if (this.phase !== "mail") return;
        left -= piece.length;
        if (left === 0) flight.sent = true;
        if (!this.socket.write(piece)) await this.drained();
      }
    } catch {
      flight.transaction.settleAll(outcomes.unreadable());
      return this.destroy();
    }
    this.blocked = false;
    this.kick();
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
