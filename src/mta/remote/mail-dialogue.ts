/**
 * The transactions on one connection, from the first MAIL on. Where PIPELINING is offered, MAIL, RCPT
 * and DATA leave in one write, and after 354 the body leaves together with the next MAIL, RCPT and
 * DATA. Where CHUNKING is offered too, whole transactions follow each other without waiting. Else one
 * command at a time. Replies belong to the oldest transaction in flight.
 * RFC 5321, 2920, 3030, 1870, 6152, 6531.
 */
import type { Extensions } from "./handshake.ts";
import { outcomes } from "./outcome-text.ts";
import { replyText } from "./reply.ts";
import type { SendBuffer } from "./send-buffer.ts";
import type { Outcome, RemoteAddressee, Transaction } from "./transaction.ts";
import type { WireBody } from "./wire-body.ts";

/** What a dialogue asks of its connection. */
export interface DialogueOptions {
  readonly ip: string;
  readonly extensions: Extensions;
  /** Transactions on one connection. */
  readonly mostMessages: number;
  readonly out: SendBuffer;
  next(): Transaction | undefined;
  /** Try this one again, on another connection. */
  putBack(transaction: Transaction): void;
  /** Write a body from a file, at the pace of the peer; `last` before the last piece. */
  stream(body: WireBody, last: () => void): Promise<void>;
  /** The first transaction after a pause begins. */
  begins(): void;
  /** Nothing in flight and nothing next. */
  rests(): void;
  /** All the messages this connection may carry are answered. `saidQuit`: QUIT is out, too. */
  exhausted(saidQuit: boolean): void;
  /** The session cannot be followed any more. `untaken`: the peer takes nothing of what is in flight. */
  breakOff(untaken: boolean): void;
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

export class MailDialogue {
  private readonly o: DialogueOptions;
  private readonly pipelining: boolean;
  private readonly flights: Flight[] = [];
  private flightBytes = 0;
  /** An envelope is out whose DATA is not answered, or a body is being streamed: nothing may follow. */
  private blocked = false;
  private needReset = false;
  private started = 0;
  private completed = 0;
  /** Transactions that were completed when there was last nothing to do. */
  private restedAfter = 0;
  /** QUIT followed the last message. */
  private saidQuit = false;
  private pumping = false;
  private over = false;
  private last: { readonly reply: Buffer; readonly outcome: Outcome } | undefined;

  constructor(options: DialogueOptions) {
    this.o = options;
    this.pipelining = options.extensions.pipelining;
  }

  /** Something is in flight. */
  get busy(): boolean {
    return this.flights.length > 0;
  }

  /** It was given work and finished none. */
  get barren(): boolean {
    return this.started > 0 && this.completed === 0;
  }

  /**
   * Messages it took before it closed (`untaken`: said 421) on the next. Undefined when it was given none
   * or only after a pause: servers close what is idle, too.
   */
  takenBeforeNext(untaken: boolean): number | undefined {
    const next = this.flights[0];
    if (!next || this.completed === this.restedAfter || (next.sent && !untaken)) return undefined;
    return this.completed;
  }

  /** The session is over: what is in flight goes back, or is in doubt and reported as such. */
  end(untaken: boolean): void {
    this.over = true;
    const { ip } = this.o;
    for (let flight = this.flights.pop(); flight; flight = this.flights.pop()) {
      const { transaction } = flight;
      if (flight.sent && !untaken) {
        for (const { one, outcome } of flight.later) transaction.settle(one, outcome);
        transaction.settleAll(outcomes.duplicate(ip));
      } else if (transaction.rewind()) {
        if (this.completed === 0 && ++transaction.lost > MOST_LOST) {
          transaction.settleAll(outcomes.died(ip));
        } else this.o.putBack(transaction);
      }
    }
  }

  // ---- replies ------------------------------------------------------------------------------

  reply(code: number, data: Buffer, from: number, to: number): void {
    const flight = this.flights[0];
    if (!flight) {
      this.o.breakOff(true);
      return;
    }
    if (code === 421 && flight.stage !== "final" && this.completed > 0) {
      this.o.breakOff(true);
      return;
    }
    this.advance(flight, code, data, from, to);
    if (code === 421 || code === 0) this.o.breakOff(code === 421);
    else this.pump();
  }

  private advance(flight: Flight, code: number, data: Buffer, from: number, to: number): void {
    const ip = this.o.ip;
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
        for (const { one, outcome } of flight.later) transaction.settle(one, outcome);
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
      const ip = this.o.ip;
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
      this.o.out.text("DATA\r\n");
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
    const ip = this.o.ip;
    const { transaction } = flight;
    const { later } = flight;
    if (flight.accepted > 0) {
      // A yes to half a message is no yes.
      const known = good && !flight.sent ? 0 : code;
      const outcome =
        good && flight.sent
          ? this.accepted(data, from, to)
          : outcomes.message(ip, known, replyText(data, from, to));
      for (const one of transaction.addressees) if (one.accepted) transaction.settle(one, outcome);
      if (!good) for (const left of later) transaction.settle(left.one, left.outcome);
    }
    // Answered while the body is still on its way: there is no end to it but this.
    const early = !flight.sent;
    this.complete(flight, !good);
    if (later.length > 0 && transaction.rewind()) this.o.putBack(transaction);
    if (early) this.o.breakOff(false);
  }

  /** Most servers say the same to every copy: one text for all of them. */
  private accepted(data: Buffer, from: number, to: number): Outcome {
    const { last } = this;
    if (last && data.compare(last.reply, 0, last.reply.length, from, to) === 0) return last.outcome;
    const outcome = outcomes.accepted(this.o.ip, replyText(data, from, to));
    this.last = { reply: Buffer.from(data.subarray(from, to)), outcome };
    return outcome;
  }

  private complete(flight: Flight, reset: boolean): void {
    this.flights.shift();
    this.flightBytes -= flight.transaction.job.body.sizeBytes;
    this.completed++;
    if (!flight.chunking && flight.stage !== "final") this.blocked = false;
    if (reset) this.needReset = true;
  }

  // ---- commands -----------------------------------------------------------------------------

  /** No transaction may follow the one that began last. */
  private get isLast(): boolean {
    return this.started >= this.o.mostMessages;
  }

  private get mayBegin(): boolean {
    if (this.over || this.blocked || this.isLast) return false;
    if (this.flights.length === 0) return true;
    return this.pipelining && this.flights.length < DEPTH && this.flightBytes < DEPTH_BYTES;
  }

  /** Write what can be written now. */
  pump(): void {
    if (this.pumping) return;
    this.pumping = true;
    while (this.mayBegin) {
      const transaction = this.o.next();
      if (!transaction) break;
      this.begin(transaction);
    }
    this.pumping = false;
    if (this.over || this.flights.length > 0) return;
    this.restedAfter = this.completed;
    if (this.isLast) this.o.exhausted(this.saidQuit);
    else this.o.rests();
  }

  private begin(transaction: Transaction): void {
    const { extensions } = this.o;
    const { body } = transaction.job;
    if (transaction.utf8 && !extensions.smtpUtf8) {
      transaction.settleAll(outcomes.noUtf8(this.o.ip));
      return;
    }
    if (this.flights.length === 0) this.o.begins();
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
    if (extensions.size) commands += ` SIZE=${transaction.sizeBytes}`;
    if (extensions.eightBit && body.eightBit) commands += " BODY=8BITMIME";
    if (transaction.utf8) commands += " SMTPUTF8";
    commands += "\r\n";
    if (this.pipelining) {
      for (const one of transaction.addressees) commands += `RCPT TO:<${one.address.text}>\r\n`;
      const { prefix } = transaction;
      commands += plain ? `BDAT ${prefix.length + plain.length} LAST\r\n${prefix}` : "DATA\r\n";
    }
    this.blocked = plain === undefined;
    this.o.out.text(commands);
    if (plain) {
      this.o.out.bytes(plain);
      this.quitBehind();
    }
  }

  /** RFC 2920 3.1: QUIT may leave with what it follows, and ends a group. */
  private quitBehind(): void {
    if (!this.isLast || !this.pipelining) return;
    this.o.out.text("QUIT\r\n");
    this.saidQuit = true;
  }

  private sendRecipient(flight: Flight): void {
    const one = flight.transaction.addressees[flight.at] as RemoteAddressee;
    this.o.out.text(`RCPT TO:<${one.address.text}>\r\n`);
  }

  /** After 354. With nobody accepted the data is empty: whatever it is answered, nobody gets it. */
  private sendBody(flight: Flight): void {
    const { transaction } = flight;
    const { body } = transaction.job;
    flight.stage = "final";
    if (flight.accepted > 0) this.o.out.text(transaction.prefix);
    if (flight.accepted === 0 || body.data) {
      flight.sent = true;
      this.blocked = false;
      if (flight.accepted === 0) this.o.out.text(".\r\n");
      else if (body.data) this.o.out.bytes(body.data);
      this.quitBehind();
      return;
    }
    void this.stream(flight);
  }

  private async stream(flight: Flight): Promise<void> {
    try {
      await this.o.stream(flight.transaction.job.body, () => {
        flight.sent = true;
      });
    } catch {
      flight.transaction.settleAll(outcomes.unreadable());
      this.o.breakOff(false);
      return;
    }
    if (this.over) return;
    this.blocked = false;
    this.pump();
    this.o.out.flush();
  }
}
