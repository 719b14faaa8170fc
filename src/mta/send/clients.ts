/**
 * Everybody who is connected: servers and workers that hand in mail, qmail-lspawn and qmail-rspawn
 * that deliver it, the commands of the administrator. Knows what to call them in Received lines.
 */
import type { Server, Socket } from "node:net";
import { join } from "node:path";
import { type AdminActions, serveAdmin } from "./admin.ts";
import type { Events } from "./events.ts";
import { Capabilities, type Standing } from "./peers.ts";
import { aliasUid } from "./queue-home.ts";
import { Session, type SessionContext } from "./session.ts";
import { listenAt } from "./sockets.ts";

/** How long a commit may take at the end: tries and the pause between them. */
const ANSWER_TRIES = 100;
const ANSWER_PAUSE_MS = 10;

export class Clients {
  private readonly home: string;
  private readonly uid: number;
  private readonly events: Events;
  private readonly capabilities = new Capabilities();
  /** Whose mail comes from other hosts. */
  private readonly networkUids = new Set<number>();
  private readonly sessions = new Set<Session>();
  private intake: Server | undefined;
  /** Of those who are needed as long as a delivery runs, and of administrators. */
  private others: Server[] = [];
  private alias: number | undefined;
  private ending = false;

  /** `uid`: ours. */
  constructor(home: string, uid: number, events: Events) {
    this.home = home;
    this.uid = uid;
    this.events = events;
  }

  /** Who shows this capability has that standing. */
  announce(capability: Buffer, standing: Standing): void {
    if (standing.role === "smtpd") this.networkUids.add(standing.uid);
    this.capabilities.announce(capability, standing);
  }

  /** `from network`, `by alias`, `by uid 7`. qmail reference 7.1 */
  phrase(uid: number): string {
    if (this.networkUids.has(uid) && uid !== this.uid) return "from network";
    return uid === this.alias ? "by alias" : `by uid ${uid}`;
  }

  /** Serve queue/intake, queue/deliver and queue/admin. */
  async listen(
    work: Pick<SessionContext, "intake" | "bodies" | "dispatch" | "slow">,
    admin: AdminActions,
  ): Promise<void> {
    this.alias = aliasUid(this.home, this.uid);
    const context: SessionContext = {
      ...work,
      capabilities: this.capabilities,
      phrase: ({ role, uid }) => (role === "smtpd" ? "from network" : this.phrase(uid)),
      unreadable: (id, error) =>
        this.events.trouble(`unable to read msg ${id}`, error, "unable to read"),
      lost: (standing) => this.lost(standing),
    };
    const serve = (socket: Socket): void => {
      const session = new Session(socket, context, () => this.sessions.delete(session));
      this.sessions.add(session);
    };
    const at = (name: string): string => join(this.home, "queue", name);
    this.intake = await listenAt(at("intake"), 0o660, serve);
    this.others = [
      await listenAt(at("deliver"), 0o666, serve),
      await listenAt(at("admin"), 0o600, (socket) => serveAdmin(socket, admin)),
    ];
  }

  private lost({ role }: Standing): void {
    if (this.ending) return;
    const name = role === "local" ? "qmail-lspawn" : "qmail-rspawn";
    this.events.alert(`lost ${name} connection, its deliveries are put back`);
  }

  /** No new servers; whoever leaves is no loss any more. */
  closeIntake(): void {
    this.ending = true;
    this.intake?.close();
  }

  /** Nobody new. Clients whose commit is under way get their answer, unless that takes long; then all are let go. */
  async end(): Promise<void> {
    for (const server of this.others) server.close();
    const isBusy = (): boolean => [...this.sessions].some((session) => session.busy);
    for (let tries = 0; tries < ANSWER_TRIES && isBusy(); tries++) {
      await new Promise((resolve) => setTimeout(resolve, ANSWER_PAUSE_MS));
    }
    for (const session of this.sessions) session.channel.end();
  }
}
