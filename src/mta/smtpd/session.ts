/**
 * One SMTP conversation, without I/O: bytes of the peer go in by `push`, replies leave through the
 * wire, one write for each batch of commands.
 *
 * | state   | takes                              | leaves by                                    |
 * |---------|------------------------------------|----------------------------------------------|
 * | new     | nothing                            | `begin`                                      |
 * | command | command lines                      | DATA with a recipient; QUIT; an error        |
 * | data    | message bytes up to CRLF.CRLF      | end of data; a bare CR or LF                 |
 * | verdict | keeps bytes for later              | the answer of the queue                      |
 * | closed  | drops everything                   |                                              |
 *
 * 250 is said only after the queue's commit resolved. A message that did not get there is aborted
 * whenever the state data is left in another way.
 */
import { unixSeconds } from "../../lib/date822.ts";
import { PermanentError, TemporaryError } from "../../lib/errors.ts";
import type { QueueDoor, Submission } from "../../lib/queue-door.ts";
import type { LocalIpHost } from "./argument.ts";
import { answer, type Conversation, type Transaction } from "./commands.ts";
import { DataReader } from "./data.ts";
import { type Peer, receivedField } from "./received.ts";
import { accepted, banner, queueRefusal, reply } from "./reply.ts";
import type { Settings } from "./settings.ts";

/** Longest command line without its line end, bytes. */
const LINE_LIMIT = 4096;
/** What a peer may send ahead while the queue decides. */
const AHEAD_LIMIT = 65536;
/** This many hops are a loop. */
const HOP_LIMIT = 100;

/** The connection as the session sees it. None of these may call back into the session at once. */
export interface Wire {
  write(replies: string): void;
  /** Send what was written, then close. `code` is the exit code where the session is a process. */
  end(code: number): void;
  pause(): void;
  resume(): void;
}

export interface SessionContext {
  readonly settings: Settings;
  readonly localIpHost: LocalIpHost | undefined;
  readonly peer: Peer;
  /** Undefined while the queue cannot be reached. */
  readonly queue: () => QueueDoor | undefined;
  readonly now: () => Date;
  /** The same for a header field. */
  readonly date: () => string;
  /** Errors that are nobody's verdict. */
  readonly warn: (text: string) => void;
}

export class SmtpSession implements Conversation {
  helo: string | undefined;
  protocol: "SMTP" | "ESMTP" = "SMTP";
  transaction: Transaction | undefined;
  private readonly context: SessionContext;
  private readonly wire: Wire;
  private state: "new" | "command" | "data" | "verdict" | "closed" = "new";
  /** An unfinished command line, or what arrived while the queue decides. */
  private pending: Buffer | undefined;
  private paused = false;
  private replies = "";
  private discarding = false;
  /** Bytes that arrived together with the command being answered, behind it. */
  private behind = 0;
  private reader = new DataReader();
  private submission: Submission | undefined;
  private isTooBig = false;
  private peerEnded = false;
  private stopping = false;

  constructor(context: SessionContext, wire: Wire) {
    this.context = context;
    this.wire = wire;
  }

  get settings(): Settings {
    return this.context.settings;
  }

  get localIpHost(): LocalIpHost | undefined {
    return this.context.localIpHost;
  }

  get isClosed(): boolean {
    return this.state === "closed";
  }

  /** Say the banner, or good-bye to a peer that did not wait for it. */
  begin(spokeEarly: boolean): void {
    if (this.state !== "new") return;
    this.state = "command";
    if (spokeEarly) {
      this.close(reply.early, 1);
      return;
    }
    this.replies = banner(this.settings.greeting);
    this.flush();
  }

  /** Bytes from the peer; the session may overwrite them, and keeps none. */
  push(chunk: Buffer): void {
    if (this.state === "closed") return;
    const bytes = this.pending ? Buffer.concat([this.pending, chunk]) : chunk;
    this.pending = undefined;
    this.run(bytes);
  }

  /** The peer will send no more; what it is owed is still said. */
  end(): void {
    this.peerEnded = true;
    if (this.state !== "verdict") this.close("", 1);
  }

  /** The peer was silent for too long. While we are the one who is waited for, that is no fault. */
  timeout(): void {
    if (this.state === "command" || this.state === "data") this.close(reply.timeout, 1);
  }

  /** The connection is gone. A commit under way goes on; the peer will send the message again. */
  lost(): void {
    this.abandon();
    this.state = "closed";
  }

  /** Shutdown: at once between messages, else after the message. */
  stop(): void {
    this.stopping = true;
    if (this.state === "command" || this.state === "new") this.close(reply.stopping, 1);
  }

  /** Shutdown cannot wait any more for the rest of a message. */
  cut(): void {
    if (this.state !== "closed") this.close(reply.stopping, 1);
  }

  private run(bytes: Buffer): void {
    let at = 0;
    try {
      while (at < bytes.length) {
        if (this.state === "command") at = this.takeLine(bytes, at);
        else if (this.state === "data") at = this.takeData(bytes, at);
        else break;
      }
    } catch (error) {
      this.context.warn(error instanceof Error ? error.message : String(error));
      this.close(reply.noControls, 1);
      return;
    }
    if (this.state === "verdict" && at < bytes.length) {
      this.pending = Buffer.from(bytes.subarray(at));
      if (this.pending.length > AHEAD_LIMIT) this.pause();
    }
    this.flush();
  }

  private takeLine(bytes: Buffer, at: number): number {
    const lf = bytes.indexOf(10, at);
    if (lf < 0) {
      if (this.discarding) return bytes.length;
      if (bytes.length - at > LINE_LIMIT + 1) {
        this.discarding = true;
        this.replies += reply.lineTooLong;
      } else {
        this.pending = Buffer.from(bytes.subarray(at));
      }
      return bytes.length;
    }
    const end = lf > at && bytes[lf - 1] === 13 ? lf - 1 : lf;
    if (this.discarding) {
      this.discarding = false;
    } else if (end - at > LINE_LIMIT) {
      this.replies += reply.lineTooLong;
    } else {
      this.behind = bytes.length - lf - 1;
      const text = answer(this, bytes.toString("latin1", at, end)); // may flush and close
      this.replies += text;
    }
    return lf + 1;
  }

  quit(): string {
    this.close(`221 ${this.settings.greeting}\r\n`, 0);
    return "";
  }

  startData(transaction: Transaction): string {
    // Whoever sends the message before our 354 is either broken or speaks through a hole. Design D12.
    if (this.behind > 0) {
      this.close(reply.early, 1);
      return "";
    }
    const door = this.context.queue();
    if (!door) {
      this.transaction = undefined;
      return reply.noQueue;
    }
    this.transaction = transaction;
    this.submission = door.open();
    this.submission.put(
      receivedField(this.context.peer, this.helo, this.protocol, this.context.date()),
    );
    this.reader = new DataReader();
    this.isTooBig = false;
    this.state = "data";
    return reply.goAhead;
  }

  private takeData(bytes: Buffer, at: number): number {
    const { reader, submission } = this;
    const next = reader.push(bytes, at);
    if (reader.status === "bare LF" || reader.status === "bare CR") {
      this.close(reader.status === "bare LF" ? reply.bareLf : reply.bareCr, 1);
      return next;
    }
    const limit = this.settings.databytes;
    if (limit > 0 && reader.sizeBytes > limit && !this.isTooBig) {
      this.isTooBig = true;
      submission?.abort();
      this.submission = undefined;
    }
    if (!this.isTooBig && reader.output.length > 0) submission?.put(Buffer.from(reader.output));
    if (reader.status === "end") {
      this.finishData();
    } else if (submission?.full && !this.isTooBig && !this.paused) {
      this.pause();
      submission.drained().then(
        () => this.resume(),
        () => this.resume(), // the commit will say why
      );
    }
    return next;
  }

  private finishData(): void {
    const { submission, transaction } = this;
    this.transaction = undefined;
    if (!submission || !transaction || this.reader.hops >= HOP_LIMIT) {
      submission?.abort();
      this.submission = undefined;
      this.state = "command";
      this.replies += this.reader.hops >= HOP_LIMIT ? reply.looping : reply.tooBig;
      if (this.stopping) this.close(reply.stopping, 1);
      return;
    }
    this.state = "verdict";
    submission.from(transaction.sender);
    for (const recipient of transaction.recipients) submission.to(recipient);
    submission.commit().then(
      (receipt) => this.verdict(accepted(unixSeconds(this.context.now()), receipt.id)),
      (error: unknown) => this.verdict(this.refusal(error)),
    );
  }

  private refusal(error: unknown): string {
    if (error instanceof PermanentError) return queueRefusal(true, error.message);
    if (error instanceof TemporaryError) return queueRefusal(false, error.message);
    this.context.warn(`bug: ${error instanceof Error ? error.stack : String(error)}`);
    return queueRefusal(false, "qq temporary problem (#4.3.0)");
  }

  private verdict(text: string): void {
    this.submission = undefined;
    if (this.state !== "verdict") return;
    this.replies += text;
    this.state = "command";
    if (this.stopping) {
      this.close(reply.stopping, 1);
      return;
    }
    const ahead = this.pending;
    this.pending = undefined;
    if (ahead) this.run(ahead);
    else this.flush();
    if (this.isOver()) this.close("", 1);
    else this.resume();
  }

  /** Whether a peer that will send no more has had every answer. */
  private isOver(): boolean {
    return this.peerEnded && this.state !== "verdict";
  }

  private pause(): void {
    if (this.paused) return;
    this.paused = true;
    this.wire.pause();
  }

  private resume(): void {
    if (!this.paused || this.state === "closed") return;
    this.paused = false;
    this.wire.resume();
  }

  private flush(): void {
    if (this.replies === "") return;
    const replies = this.replies;
    this.replies = "";
    this.wire.write(replies);
  }

  private abandon(): void {
    if (this.state === "verdict") return;
    this.submission?.abort();
    this.submission = undefined;
  }

  private close(lastReply: string, code: number): void {
    if (this.state === "closed") return;
    this.abandon();
    this.state = "closed";
    this.pending = undefined;
    this.replies += lastReply;
    this.flush();
    this.wire.end(code);
  }
}
