/**
 * What the connections of one engine share, so that a new one costs little: the clock for their time
 * limits, the buffer they read into, buffers to write from, and what resumes TLS sessions.
 */
import { createSecureContext, type SecureContext } from "node:tls";
import { Deadlines } from "../../lib/deadlines.ts";
import { ExtensionCache } from "./handshake.ts";

const READ_BYTES = 65536;
export const WRITE_BYTES = 32768;
/** Unused write buffers kept. A connection holds one only while it has something to say. */
const SPARE = 32;
const MOST_SESSIONS = 1000;
/** Connections kept open without work, to all servers together. */
export const MOST_RESTING = 256;
/** A session holds the certificate of the server, as long as that one likes. */
const LONGEST_SESSION = 16_384;

interface Resting {
  quit(): void;
}

export class ConnectionResources {
  readonly deadlines = new Deadlines();
  readonly extensions = new ExtensionCache();
  /** What was read is dealt with before the next read, so one is enough for all. */
  readonly readBuffer = Buffer.allocUnsafeSlow(READ_BYTES);
  private readonly spare: Buffer[] = [];
  /** Longest at rest first. */
  private readonly resting = new Set<Resting>();
  private context: SecureContext | undefined;
  /** Least recently made first. */
  private readonly sessions = new Map<string, Buffer>();

  /**
   * The connection is kept for what may come. Mail for ten thousand sites would leave as many open, a
   * descriptor each, and nobody is likely to need the oldest.
   */
  rests(connection: Resting): void {
    this.resting.add(connection);
    if (this.resting.size <= MOST_RESTING) return;
    const [oldest] = this.resting;
    oldest?.quit();
  }

  /** It has work again, or is closed. */
  restsNoMore(connection: Resting): void {
    this.resting.delete(connection);
  }

  takeBuffer(): Buffer {
    return this.spare.pop() ?? Buffer.allocUnsafeSlow(WRITE_BYTES);
  }

  /** Nobody may hold on to it any more. */
  giveBuffer(buffer: Buffer): void {
    if (this.spare.length < SPARE) this.spare.push(buffer);
  }

  get tlsContext(): SecureContext {
    this.context ??= createSecureContext();
    return this.context;
  }

  /** The last TLS session with that server: resuming it saves both sides a key exchange. */
  session(server: string): Buffer | undefined {
    return this.sessions.get(server);
  }

  keepSession(server: string, session: Buffer): void {
    this.sessions.delete(server);
    if (session.length > LONGEST_SESSION) return;
    this.sessions.set(server, session);
    if (this.sessions.size <= MOST_SESSIONS) return;
    const [oldest] = this.sessions.keys();
    if (oldest !== undefined) this.sessions.delete(oldest);
  }

  dropSession(server: string): void {
    this.sessions.delete(server);
  }
}
