/**
 * The work of qmail-lspawn: each local delivery from qmail-send is looked up and given to a worker of
 * its user; reports go back, all of one turn together. Nothing here looks at a message.
 */
import { expandVerp, splitAddress } from "../../lib/address.ts";
import type { Report } from "../channel/protocol.ts";
import type { QueueMessage } from "../channel/queue-messages.ts";
import type { UserRecord } from "../channel/worker-messages.ts";
import { LSPAWN_TROUBLE, localReport } from "./report.ts";
import { LookupTrouble } from "./system-accounts.ts";
import type { Users } from "./users.ts";
import type { WorkerPool } from "./worker-pool.ts";

type LocalWork = Extract<QueueMessage, { type: "local" }>;

export class Lspawn {
  private readonly users: Users;
  private readonly send: (message: QueueMessage) => void;
  private readonly announcements = new Map<string, () => void>();
  private reports: Report[] = [];
  private pool: WorkerPool | undefined;
  private lookups = 0;

  constructor(users: Users, send: (message: QueueMessage) => void) {
    this.users = users;
    this.send = send;
  }

  /** The pool reports through us and announces through us, so it comes second. */
  use(pool: WorkerPool): void {
    this.pool = pool;
  }

  receive(message: QueueMessage): void {
    if (message.type === "local") {
      this.lookups++;
      // Only `user` is awaited; whatever goes wrong becomes a report.
      void this.deliver(message).finally(() => {
        this.lookups--;
      });
    } else if (message.type === "announced") {
      const key = message.capability.toString("hex");
      this.announcements.get(key)?.();
      this.announcements.delete(key);
    }
  }

  get pending(): number {
    return this.lookups + (this.pool?.pending ?? 0);
  }

  /** Tell qmail-send about a worker to come; resolves when it knows. */
  announce(capability: Buffer, uid: number): Promise<Buffer> {
    return new Promise((resolve) => {
      this.announcements.set(capability.toString("hex"), () => resolve(capability));
      this.send({ type: "worker", capability, uid });
    });
  }

  report(report: Report): void {
    if (this.reports.length === 0) setImmediate(() => this.sendReports());
    this.reports.push(report);
  }

  sendReports(): void {
    if (this.reports.length === 0) return;
    this.send({ type: "reports", reports: this.reports });
    this.reports = [];
  }

  private async deliver(work: LocalWork): Promise<void> {
    const { delivery, deliveryKey, message, sizeBytes } = work;
    // Per recipient, as the submitter named it; the routed address may have a virtual prepend.
    const sender = expandVerp(work.sender, work.original);
    const { local, domain } = splitAddress(work.recipient);
    // Mail to @host is thrown away, with success.
    if (local === "") return this.report(localReport(delivery, 0));
    let user: UserRecord;
    try {
      user = await this.users.find(local);
    } catch (error) {
      const code = error instanceof LookupTrouble ? error.code : LSPAWN_TROUBLE;
      this.report(localReport(delivery, code));
      return;
    }
    this.pool?.submit({
      type: "run",
      delivery,
      deliveryKey,
      message,
      token: work.token,
      sizeBytes,
      sender,
      local,
      host: domain,
      user,
      prefix: work.prefix,
      asCommand: false,
    });
  }
}
