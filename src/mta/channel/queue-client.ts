/**
 * The client of the queue channel: how the SMTP listener and the local workers hand in mail and get
 * bodies. One connection carries many submissions at once. When it is lost, every submission that
 * has no verdict yet fails temporarily: perhaps it was queued, so the peer (or the re-run with the
 * same key) asks again. Connecting anew is the caller's matter.
 */
import type { Socket } from "node:net";
import { errorText, TemporaryError } from "../../lib/errors.ts";
import type { QueueDoor, SubmissionOptions } from "../../lib/queue-door.ts";
import { BodyPipe, type BodyReader, WholeBody } from "./body-pipe.ts";
import { Channel } from "./channel.ts";
import { PROTOCOL_VERSION, SMALL_BODY } from "./protocol.ts";
import { type QueueMessage, readQueue, writeQueue } from "./queue-messages.ts";
import { QueueSubmission } from "./queue-submission.ts";
import { connectQuietly } from "./quiet-socket.ts";

/** Bytes not yet taken by the kernel at which every submission reports `full`. */
const BACKLOG_LIMIT = 1 << 20;
/** Sessions open at the server at once; must stay below what it takes from one client (1024). */
const SESSION_LIMIT = 1000;
/** How long to wait for `welcome`. */
const WELCOME_MS = 10_000;

export interface QueueClientOptions {
  /** Put in front of every submission key, as `<deliveryKey>/<instruction>/`. A mail without key has none. */
  readonly keyPrefix?: string;
  /** Once, when the connection is gone, whoever ended it. */
  readonly closed?: (error?: Error) => void;
}

type QueueChannel = Channel<QueueMessage, QueueMessage>;

/** Connect and present the capability. Rejects with TemporaryError. */
export async function connectQueue(
  path: string,
  capability: Buffer,
  options: QueueClientOptions = {},
): Promise<QueueClient> {
  const client = new QueueClient(path, capability, options);
  await client.welcomed;
  return client;
}

export class QueueClient implements QueueDoor {
  readonly carriesPrefix = true;
  readonly keepsKeys = true;
  /** Settles when the server said `welcome` or refused. */
  readonly welcomed: Promise<void>;
  private readonly path: string;
  private readonly capability: Buffer;
  private readonly options: QueueClientOptions;
  private readonly socket: Socket;
  private readonly channel: QueueChannel;
  private readonly submissions = new Map<number, QueueSubmission>();
  private readonly pipes = new Map<number, BodyReader[]>();
  private readonly admitted = new Set<number>();
  /** Submissions that wait for one of the others to end. */
  private readonly held = new Set<number>();
  private lastSession = 0;
  private room: Promise<void> | undefined;

  constructor(path: string, capability: Buffer, options: QueueClientOptions = {}) {
    this.path = path;
    this.capability = Buffer.from(capability);
    this.options = options;
    this.socket = connectQuietly(path);
    let welcome = (): void => {};
    let refuse = (_error: Error): void => {};
    this.welcomed = new Promise((resolve, reject) => {
      welcome = resolve;
      refuse = reject;
    });
    // A caller that only looks at `closed` must not be hit by an unhandled rejection.
    this.welcomed.catch(() => {});
    const timer = setTimeout(
      () => this.socket.destroy(new Error("no answer from the queue")),
      WELCOME_MS,
    );
    this.channel = new Channel(this.socket, writeQueue, readQueue, {
      message: (message) => {
        if (message.type !== "welcome") return this.receive(message);
        clearTimeout(timer);
        if (message.version === PROTOCOL_VERSION) welcome();
        else this.socket.destroy(new Error("the queue speaks another version"));
      },
      closed: (error) => {
        clearTimeout(timer);
        const why = error ? errorText(error) : "connection closed";
        refuse(new TemporaryError(`unable to reach the queue: ${why} (#4.3.0)`, { cause: error }));
        this.lose(error);
      },
    });
    this.channel.send({ type: "hello", version: PROTOCOL_VERSION, capability: this.capability });
    this.channel.flush();
  }

  get closed(): boolean {
    return this.channel.closed;
  }

  /** Submissions without verdict. */
  get openSessions(): number {
    return this.submissions.size;
  }

  /** Whether the server reads slower than we write. */
  get congested(): boolean {
    return this.channel.backlogBytes > BACKLOG_LIMIT;
  }

  /** Start a message. Always works; on a lost connection the commit rejects. */
  open(options: SubmissionOptions = {}): QueueSubmission {
    do this.lastSession = (this.lastSession + 1) >>> 0 || 1;
    while (this.submissions.has(this.lastSession));
    const session = this.lastSession;
    const key = options.key === undefined ? "" : `${this.options.keyPrefix ?? ""}${options.key}`;
    const submission = new QueueSubmission(this, session, {
      key,
      urgency: options.urgency ?? "normal",
      prefix: options.prefix ?? "",
    });
    if (this.channel.closed) submission.fail(lost());
    else this.submissions.set(session, submission);
    return submission;
  }

  /** For submissions: may this one be opened now? */
  admit(session: number): boolean {
    if (this.admitted.size >= SESSION_LIMIT) {
      this.held.add(session);
      return false;
    }
    this.admitted.add(session);
    return true;
  }

  /** For submissions: pass one message on. */
  send(message: QueueMessage): void {
    this.channel.send(message);
  }

  /** For submissions: over, with or without verdict. */
  forget(session: number): void {
    this.submissions.delete(session);
    this.held.delete(session);
    if (!this.admitted.delete(session)) return;
    for (const next of this.held) {
      this.held.delete(next);
      this.submissions.get(next)?.credit(0);
      break;
    }
  }

  /** Resolves when the kernel took what was written; shared by everyone who waits. */
  drained(): Promise<void> {
    this.room ??= this.channel.drained().finally(() => {
      this.room = undefined;
    });
    return this.room;
  }

  /**
   * The body of a message, by the token that came with the work. A body known to be small comes over
   * this connection. Any other gets a connection of its own: it is held back while its reader is
   * slow, and that must never hold back the verdicts the same reader may be waiting for.
   */
  async *fetch(message: number, token: Buffer, sizeBytes?: number): AsyncIterable<Buffer> {
    if (sizeBytes === undefined || sizeBytes > SMALL_BODY) {
      const own = new QueueClient(this.path, this.capability);
      try {
        await own.welcomed;
        yield* own.pull(message, token, own.socket);
      } finally {
        own.destroy();
      }
      return;
    }
    yield* this.pull(message, token, undefined);
  }

  /** The same in one piece, of a body known to be at most SMALL_BODY bytes. */
  async fetchSmall(message: number, token: Buffer): Promise<Buffer> {
    const body = new WholeBody();
    this.ask(message, token, body);
    return body.bytes;
  }

  private async *pull(
    message: number,
    token: Buffer,
    socket: Socket | undefined,
  ): AsyncIterable<Buffer> {
    const pipe = new BodyPipe(socket);
    this.ask(message, token, pipe);
    yield* pipe.chunks();
  }

  private ask(message: number, token: Buffer, reader: BodyReader): void {
    if (this.channel.closed) throw lost();
    const waiting = this.pipes.get(message);
    const ask = (): void => this.channel.send({ type: "fetch", message, token });
    // Chunks name the message only, so readers of the same one take turns.
    if (waiting) {
      waiting.push(reader);
      reader.start = ask;
    } else {
      this.pipes.set(message, [reader]);
      ask();
    }
  }

  /** Send what is under way, then close. */
  end(): void {
    this.channel.end();
  }

  destroy(): void {
    this.channel.destroy();
  }

  private receive(message: QueueMessage): void {
    switch (message.type) {
      case "credit":
        this.submissions.get(message.session)?.credit(message.bytes);
        break;
      case "accepted":
        this.submissions.get(message.session)?.accepted(message.id);
        break;
      case "refused":
        this.submissions.get(message.session)?.refused(message.verdict, message.text);
        break;
      case "chunk": {
        const pipes = this.pipes.get(message.message);
        const pipe = pipes?.[0];
        if (!pipes || !pipe) break;
        pipe.push(message.bytes, message.last);
        if (!message.last) break;
        pipes.shift();
        if (pipes.length === 0) this.pipes.delete(message.message);
        else pipes[0]?.start();
        break;
      }
      default:
        this.socket.destroy(new Error(`unexpected ${message.type} from the queue`));
    }
  }

  private lose(error: Error | undefined): void {
    for (const submission of [...this.submissions.values()]) submission.fail(lost(error));
    this.submissions.clear();
    for (const pipes of this.pipes.values()) for (const pipe of pipes) pipe.fail(lost(error));
    this.pipes.clear();
    this.options.closed?.(error);
  }
}

function lost(cause?: Error): TemporaryError {
  return new TemporaryError("lost connection to the queue (#4.3.0)", { cause });
}
