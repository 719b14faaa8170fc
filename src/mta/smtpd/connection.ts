/** One TCP connection of the listener: carries bytes between its socket and its session. */
import type { Socket } from "node:net";
import type { Deadlines, Timed } from "../../lib/deadlines.ts";
import { type SessionContext, SmtpSession, type Wire } from "./session.ts";

/** A peer that got its last reply may finish what it was saying: silent for so long at a time, */
const LINGER_MS = 5000;
/** so long in all, */
const LONGEST_LINGER_MS = 30_000;
/** and so much. */
const LINGER_BYTES = 1 << 20;

/** Say one line to a peer that gets no session, and close. */
export function turnAway(socket: Socket, text: string): void {
  socket.on("error", () => {});
  socket.setTimeout(LINGER_MS, () => socket.destroy());
  socket.resume();
  socket.end(text);
}

export class Connection implements Wire, Timed {
  readonly session: SmtpSession;
  deadline = 0;
  private readonly socket: Socket;
  private readonly deadlines: Deadlines;
  private readonly timeoutMs: number;
  private hasBegun = false;
  private spokeEarly = false;
  private isHeldBySession = false;
  private isHeldByOutput = false;
  private isEnding = false;
  private lingerBytes = 0;
  private lingerEnd = 0;

  constructor(socket: Socket, context: SessionContext, deadlines: Deadlines) {
    this.socket = socket;
    this.deadlines = deadlines;
    this.timeoutMs = context.settings.timeoutSeconds * 1000;
    this.session = new SmtpSession(context, this);
    socket.on("data", (chunk: Buffer) => this.receive(chunk));
    socket.on("end", () => this.session.end());
    socket.on("error", () => {}); // `close` follows
    socket.on("close", () => {
      deadlines.forget(this);
      this.session.lost();
    });
    socket.on("drain", () => {
      this.isHeldByOutput = false;
      this.postpone();
      this.hold();
    });
    this.postpone();
    deadlines.watch(this);
    // Two turns, so that the loop looks once at what the peer sent before it was spoken to.
    setImmediate(() => setImmediate(() => this.begin()));
  }

  expired(): void {
    if (this.isEnding) this.socket.destroy();
    else this.session.timeout();
  }

  /** Something came or went: the peer may be silent for as long again. */
  private postpone(): void {
    this.deadline = this.deadlines.now() + this.timeoutMs;
  }

  /** The same after the last reply. */
  private linger(): void {
    this.deadline = Math.min(this.deadlines.now() + LINGER_MS, this.lingerEnd);
  }

  private begin(): void {
    if (this.hasBegun || this.socket.destroyed) return;
    this.hasBegun = true;
    this.session.begin(this.spokeEarly);
  }

  private receive(chunk: Buffer): void {
    if (this.isEnding) {
      this.lingerBytes += chunk.length;
      this.linger();
      if (this.lingerBytes > LINGER_BYTES) this.socket.destroy();
    } else if (this.hasBegun) {
      this.postpone();
      this.session.push(chunk);
    } else {
      this.spokeEarly = true;
    }
  }

  write(replies: string): void {
    this.postpone();
    if (this.socket.writable && !this.socket.write(replies, "latin1")) {
      // A peer that does not read its replies is not read either.
      this.isHeldByOutput = true;
      this.hold();
    }
  }

  end(code: number): void {
    this.isEnding = true;
    // After QUIT nothing more comes, and many clients close without reading our 221: an orderly
    // shutdown would only meet their reset.
    if (code === 0 && this.socket.writableLength === 0) {
      this.socket.destroy();
      return;
    }
    this.hold();
    this.lingerEnd = this.deadlines.now() + LONGEST_LINGER_MS;
    this.linger();
    this.socket.end();
  }

  pause(): void {
    this.isHeldBySession = true;
    this.hold();
  }

  resume(): void {
    this.isHeldBySession = false;
    this.hold();
  }

  /** Shutdown is over. */
  destroy(): void {
    this.session.cut();
    this.socket.destroySoon();
  }

  private hold(): void {
    // What comes after the last reply is read and dropped: unread bytes would reset the connection
    // and take the reply with them.
    const isHeld = !this.isEnding && (this.isHeldBySession || this.isHeldByOutput);
    if (isHeld !== this.socket.isPaused()) isHeld ? this.socket.pause() : this.socket.resume();
  }
}
