/** One TCP connection of the listener: carries bytes between its socket and its session. */
import type { Deadlines, Timed } from "../../lib/deadlines.ts";
import type { PeerEvents, PeerSocket } from "../../lib/peer-socket.ts";
import { type SessionContext, SmtpSession, type Wire } from "./session.ts";

/** A peer that got its last reply may finish what it was saying: silent for so long at a time, */
const LINGER_MS = 5000;
/** so long in all, */
const LONGEST_LINGER_MS = 30_000;
/** and so much. */
const LINGER_BYTES = 1 << 20;

/** Say one line to a peer that gets no session, and close. */
export function turnAway(socket: PeerSocket, text: string, deadlines: Deadlines): void {
  const deadline = deadlines.now() + LINGER_MS;
  const refused = { deadline, expired: () => socket.close() };
  deadlines.watch(refused);
  socket.start({
    received() {},
    ended() {},
    drained() {},
    closed: () => deadlines.forget(refused),
  });
  socket.write(text);
  socket.end();
}

export class Connection implements Wire, Timed, PeerEvents {
  readonly session: SmtpSession;
  deadline = 0;
  private readonly socket: PeerSocket;
  private readonly deadlines: Deadlines;
  private readonly timeoutMs: number;
  private readonly gone: () => void;
  private hasBegun = false;
  private spokeEarly = false;
  private isHeldBySession = false;
  private isHeldByOutput = false;
  private isEnding = false;
  private lingerBytes = 0;
  private lingerEnd = 0;

  /** `gone`: it is closed. */
  constructor(socket: PeerSocket, context: SessionContext, deadlines: Deadlines, gone: () => void) {
    this.socket = socket;
    this.gone = gone;
    this.deadlines = deadlines;
    this.timeoutMs = context.settings.timeoutSeconds * 1000;
    this.session = new SmtpSession(context, this);
    this.postpone();
    deadlines.watch(this);
    socket.start(this);
    // Two turns, so that the loop looks once at what the peer sent before it was spoken to.
    setImmediate(() => setImmediate(() => this.begin()));
  }

  expired(): void {
    if (this.isEnding) this.socket.close();
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
    if (this.hasBegun || this.socket.isClosed) return;
    this.hasBegun = true;
    this.session.begin(this.spokeEarly);
  }

  received(bytes: Buffer): void {
    if (this.isEnding) {
      this.lingerBytes += bytes.length;
      this.linger();
      if (this.lingerBytes > LINGER_BYTES) this.socket.close();
    } else if (this.hasBegun) {
      this.postpone();
      this.session.push(bytes);
    } else {
      this.spokeEarly = true;
    }
  }

  ended(): void {
    this.session.end();
  }

  drained(): void {
    this.isHeldByOutput = false;
    this.postpone();
    this.hold();
  }

  closed(): void {
    this.deadlines.forget(this);
    this.session.lost();
    this.gone();
  }

  write(replies: string): void {
    this.postpone();
    if (!this.socket.write(replies)) {
      // A peer that does not read its replies is not read either.
      this.isHeldByOutput = true;
      this.hold();
    }
  }

  end(code: number): void {
    this.isEnding = true;
    // After QUIT nothing more comes, and many clients close without reading our 221: an orderly
    // shutdown would only meet their reset.
    if (code === 0 && !this.socket.hasUnsent) {
      this.socket.close();
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
    this.socket.endAndClose();
  }

  private hold(): void {
    // What comes after the last reply is read and dropped: unread bytes would reset the connection
    // and take the reply with them.
    const isHeld = !this.isEnding && (this.isHeldBySession || this.isHeldByOutput);
    if (isHeld) this.socket.pause();
    else this.socket.resume();
  }
}
