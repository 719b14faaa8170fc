/**
 * The work of qmail-lspawn: each local delivery from qmail-send is looked up and given to a worker of
 * its user; reports go back, all of one turn together. Nothing here looks at a message.
 */

import { expandVerp, splitAddress } from "../../lib/address.ts";
import { causeText } from "../../lib/errors.ts";
import { Telltale } from "../../lib/telltale.ts";
import { FRAME_LIMIT, REPORT_LIMIT, type Report } from "../channel/protocol.ts";
import type { QueueMessage } from "../channel/queue-messages.ts";
import type { UserRecord } from "../channel/worker-messages.ts";
import { LSPAWN_TROUBLE, localReport } from "./report.ts";
import { LookupTrouble } from "./system-accounts.ts";
import type { Users } from "./users.ts";
import type { WorkerPool } from "./worker-pool.ts";

/** Reports that fit one frame though workers, who are anybody, send the longest texts of three-byte letters. */
const MOST_REPORTS = Math.floor(FRAME_LIMIT / (REPORT_LIMIT * 3 + 16));

type LocalWork = Extract<QueueMessage, { type: "local" }>;

export class Lspawn {
  private readonly users: Users;
  private readonly send: (message: QueueMessage) => void;
  private readonly warn: (text: string) => void;
  private readonly told = new Telltale();
  private readonly announcements = new Map<string, () => void>();
  private reports: Report[] = [];
  private pool: WorkerPool | undefined;
  private lookups = 0;
  /** The files of users/ were looked at in this turn. */
  private looked = false;

  /** `warn`: a line for the log. */
  constructor(users: Users, send: (message: QueueMessage) => void, warn: (text: string) => void) {
    this.users = users;
    this.send = send;
    this.warn = warn;
  }

  /** The pool reports through us and announces through us, so it comes second. */
  use(pool: WorkerPool): void {
    this.pool = pool;
  }

  receive(message: QueueMessage): void {
    if (message.type === "local") {
      this.deliver(message);
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
    if (this.reports.length >= MOST_REPORTS) this.sendReports();
  }

  sendReports(): void {
    if (this.reports.length === 0) return;
    this.send({ type: "reports", reports: this.reports });
    this.reports = [];
  }

  private deliver(work: LocalWork): void {
    const { local } = splitAddress(work.recipient);
    // Mail to @host is thrown away, with success.
    if (local === "") {
      this.report(localReport(work.delivery, 0));
      return;
    }
    let user: UserRecord | undefined;
    try {
      user = this.users.assigned(local, this.looked);
    } catch (error) {
      this.fail(work, error);
      return;
    }
    // What comes in one turn is one look at users/: every edit counts from the next turn on.
    if (!this.looked) setImmediate(this.endTurn);
    this.looked = true;
    if (user) this.submit(work, user);
    else this.ask(work, local);
  }

  private readonly endTurn = (): void => {
    this.looked = false;
  };

  /** Nobody in users/: system accounts, which may take a while. */
  private ask(work: LocalWork, local: string): void {
    this.lookups++;
    this.users.find(local).then(
      (user) => {
        this.lookups--;
        this.submit(work, user);
      },
      (error: unknown) => {
        this.lookups--;
        this.fail(work, error);
      },
    );
  }

  private fail({ delivery }: LocalWork, error: unknown): void {
    const code = error instanceof LookupTrouble ? error.code : LSPAWN_TROUBLE;
    const why = error instanceof LookupTrouble ? error.cause : error;
    if (why !== undefined) this.tell(causeText(why));
    this.report(localReport(delivery, code));
  }

  /** The report says what qmail says; the log says why. */
  private tell(trouble: string): void {
    const text = `unable to look up a recipient: ${trouble}`;
    if (this.told.isNew(text)) this.warn(text);
  }

  private submit(work: LocalWork, user: UserRecord): void {
    const { delivery, deliveryKey, message, token, sizeBytes, prefix } = work;
    const { local, domain } = splitAddress(work.recipient);
    this.pool?.submit({
      type: "run",
      delivery,
      deliveryKey,
      message,
      token,
      sizeBytes,
      // Per recipient, as the submitter named it; the routed address may have a virtual prepend.
      sender: expandVerp(work.sender, work.original),
      local,
      host: domain,
      user,
      prefix,
      asCommand: false,
    });
  }
}
