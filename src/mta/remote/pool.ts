/**
 * The connections to one destination and the jobs that wait for them. A job is worked through by one
 * connection; connections are opened while jobs wait, kept for a moment when none does.
 *
 * Until a destination has answered once, one attempt is under way for all its jobs, and none waits
 * long for it; when the attempt fails all of them are told, and those that come within the next
 * moment too. So a dead site holds no slot. While a session stands, an attempt that fails (a server
 * that wants no more of us) costs nobody anything.
 */

import type { Timed } from "../../lib/deadlines.ts";
import type { ConnectionResources } from "./connection-resources.ts";
import { type Destination, hostTexts, type Target, targetsOf } from "./mx.ts";
import { outcomes } from "./outcome-text.ts";
import { SessionLength } from "./session-length.ts";
import {
  type ConnectionOwner,
  type ConnectionSettings,
  type Refusal,
  SmtpConnection,
} from "./smtp-connection.ts";
import type { TimeoutFile } from "./tcpto.ts";
import type { Job, Outcome, Transaction } from "./transaction.ts";

export interface PoolLimits {
  /** Connections to one destination. */
  readonly mostConnections: number;
  /** How long a failed destination is answered for at once. */
  readonly badSeconds: number;
  /** How long a job waits for a destination that has not answered yet. */
  readonly patienceSeconds: number;
}

export interface PoolOptions {
  readonly settings: Omit<ConnectionSettings, "useTls" | "credentials">;
  readonly limits: PoolLimits;
  /** Transactions on one connection. */
  readonly mostMessages: number;
  readonly resources: ConnectionResources;
  readonly timeouts: TimeoutFile;
  /** Milliseconds since the epoch: only `timeouts`, which others read too, goes by the time of day. */
  readonly now: () => number;
  readonly random: () => number;
  /** Called when nothing is left: no job, no connection, no memory worth keeping. */
  readonly empty: () => void;
}

/** Sessions in a row that carried nothing, after which the destination counts as failed. */
const MOST_BARREN = 5;

/** For so long after a session began nobody doubts that there is a server, whatever closes. */
const ANSWERED_MS = 1000;

const noConnection: Outcome = { verdict: "Z", text: hostTexts.connect };

/** One walk through the targets until a session stands. */
interface Attempt {
  readonly targets: Target[];
  outcome: Outcome;
}

export class Pool implements ConnectionOwner, Timed {
  /** When the jobs that wait for a silent destination are put off. */
  deadline = Number.POSITIVE_INFINITY;
  private readonly destination: Destination;
  private readonly options: PoolOptions;
  private readonly settings: ConnectionSettings;
  private readonly clearSettings: ConnectionSettings;
  private readonly waiting: Job[] = [];
  private readonly current = new Map<SmtpConnection, Job>();
  private readonly live = new Set<SmtpConnection>();
  private readonly unused = new Set<SmtpConnection>();
  private readonly opening = new Map<SmtpConnection, Attempt>();
  /** Addresses that failed a moment ago, and when: tried last. */
  private readonly failed = new Map<string, number>();
  private readonly clearOnly = new Set<string>();
  private readonly sessionLength = new SessionLength();
  private provenUntil = 0;
  private bad: { outcome: Outcome; until: number; resets: number } | undefined;
  /** Until then no further connection is opened: the server refused one. */
  private crowdedUntil = 0;
  private barren = 0;

  constructor(destination: Destination, options: PoolOptions) {
    this.destination = destination;
    this.options = options;
    this.settings = { ...options.settings, credentials: destination.credentials, useTls: true };
    this.clearSettings = { ...this.settings, useTls: false };
  }

  add(job: Job): void {
    if (this.isBad()) {
      job.giveUp(this.bad?.outcome ?? noConnection);
      return;
    }
    this.bad = undefined;
    this.waiting.push(job);
    this.work();
  }

  /** Settings changed: finish what runs, keep nothing for later. */
  retire(): void {
    for (const connection of [...this.unused]) connection.quit();
  }

  /** Break everything off; every recipient gets an answer. */
  destroy(outcome: Outcome): void {
    for (const connection of [...this.opening.keys(), ...this.live]) {
      this.opening.delete(connection);
      connection.destroy();
    }
    this.failWaiting(outcome);
  }

  /** Nothing to do, nothing open, nothing worth remembering. */
  get spent(): boolean {
    return (
      this.waiting.length === 0 && this.live.size === 0 && this.opening.size === 0 && !this.isBad()
    );
  }

  /** Whether it failed a moment ago; qmail-tcpok makes us forget that. */
  private isBad(): boolean {
    if (!this.bad || this.clock >= this.bad.until) return false;
    this.options.timeouts.refresh();
    return this.bad.resets === this.options.timeouts.resets;
  }

  private markBad(outcome: Outcome): void {
    const { limits, timeouts } = this.options;
    const until = this.clock + limits.badSeconds * 1000;
    this.bad = { outcome, until, resets: timeouts.resets };
  }

  // ---- jobs and connections -----------------------------------------------------------------

  private work(): void {
    while (this.waiting.length > 0 && this.unused.size > 0) {
      const [connection] = this.unused;
      if (!connection) break;
      this.unused.delete(connection);
      this.options.resources.restsNoMore(connection);
      connection.kick();
    }
    const proven = this.provenUntil > 0 && (this.live.size > 0 || this.clock < this.provenUntil);
    const wanted = proven ? this.waiting.length : 1;
    const room = this.options.limits.mostConnections - this.live.size;
    const crowded = this.live.size > 0 && this.clock < this.crowdedUntil;
    while (
      this.waiting.length > 0 &&
      !crowded &&
      this.opening.size < Math.min(wanted, room, this.waiting.length)
    ) {
      if (!this.openOne()) break;
    }
    this.watchPatience();
  }

  /** Jobs that arrive while a destination is silent are put off rather than held. */
  private watchPatience(): void {
    if (this.waiting.length <= 1 || this.live.size > 0) this.calm();
    else if (this.deadline === Number.POSITIVE_INFINITY) {
      this.deadline = this.clock + this.options.limits.patienceSeconds * 1000;
      this.options.resources.deadlines.watch(this);
    }
  }

  private calm(): void {
    if (this.deadline === Number.POSITIVE_INFINITY) return;
    this.deadline = Number.POSITIVE_INFINITY;
    this.options.resources.deadlines.forget(this);
  }

  /** Those that come while the attempt goes on are told at once. */
  expired(): void {
    this.calm();
    this.markBad(noConnection);
    for (const job of this.waiting.splice(1)) job.giveUp(noConnection);
  }

  /** Milliseconds on a clock that never jumps. */
  private get clock(): number {
    return this.options.resources.deadlines.now();
  }

  private openOne(): boolean {
    const { clock } = this;
    const { timeouts, now, random } = this.options;
    const all = targetsOf(this.destination, random);
    const seconds = Math.floor(now() / 1000);
    if (!timeouts.table.isEmpty) timeouts.refresh();
    const usable = all.filter((t) => !timeouts.table.suppressed(t.address, seconds));
    const recent = (t: Target): number =>
      clock - (this.failed.get(t.address) ?? Number.NEGATIVE_INFINITY) < 60_000 ? 1 : 0;
    const targets = usable.length > 1 ? usable.sort((a, b) => recent(a) - recent(b)) : usable;
    return this.tryNext({ targets, outcome: noConnection });
  }

  private tryNext(attempt: Attempt): boolean {
    const target = attempt.targets.shift();
    if (!target) {
      this.attemptFailed(attempt.outcome);
      return false;
    }
    const settings = this.clearOnly.has(target.address) ? this.clearSettings : this.settings;
    const { resources } = this.options;
    const most = Math.min(this.options.mostMessages, this.sessionLength.most(this.clock));
    const connection = new SmtpConnection(target, settings, most, resources, this);
    this.opening.set(connection, attempt);
    return true;
  }

  private attemptFailed(outcome: Outcome): void {
    if (this.live.size > 0) {
      this.crowdedUntil = this.clock + this.options.limits.badSeconds * 1000;
      return;
    }
    if (this.opening.size > 0) return;
    this.provenUntil = 0;
    this.markBad(outcome);
    this.failWaiting(outcome);
    this.options.empty();
  }

  private failWaiting(outcome: Outcome): void {
    this.calm();
    for (const job of this.waiting.splice(0)) job.giveUp(outcome);
  }

  // ---- what connections tell ------------------------------------------------------------------

  connected(connection: SmtpConnection): void {
    const { timeouts } = this.options;
    if (timeouts.table.connected(connection.target.address)) timeouts.save();
  }

  established(connection: SmtpConnection): void {
    this.opening.delete(connection);
    this.failed.delete(connection.target.address);
    this.provenUntil = this.clock + ANSWERED_MS;
    this.bad = undefined;
    this.live.add(connection);
    connection.kick();
    this.work();
  }

  refused(connection: SmtpConnection, refusal: Refusal): void {
    const attempt = this.opening.get(connection);
    if (!attempt) return;
    this.opening.delete(connection);
    const { target } = connection;
    const { timeouts, now } = this.options;
    if (refusal.timedOut) {
      if (timeouts.table.timedOut(target.address, Math.floor(now() / 1000))) timeouts.save();
    }
    if (refusal.again) {
      if (refusal.again === "clear") this.clearOnly.add(target.address);
      attempt.targets.unshift(target);
    } else {
      this.failed.set(target.address, this.clock);
      if (refusal.outcome) attempt.outcome = refusal.outcome;
      if (!refusal.tryNext) attempt.targets.length = 0;
    }
    this.tryNext(attempt);
  }

  next(connection: SmtpConnection): Transaction | undefined {
    for (;;) {
      const job = this.current.get(connection);
      const transaction = job?.next();
      if (transaction) return transaction;
      if (job) {
        job.held = false;
        this.current.delete(connection);
      }
      const another = this.waiting.shift();
      if (!another) return undefined;
      another.held = true;
      this.current.set(connection, another);
    }
  }

  putBack(transaction: Transaction): void {
    const { job } = transaction;
    job.putBack(transaction);
    if (job.held || this.waiting.includes(job)) return;
    this.waiting.unshift(job);
  }

  idle(connection: SmtpConnection): void {
    this.unused.add(connection);
    this.options.resources.rests(connection);
  }

  gone(connection: SmtpConnection): void {
    this.live.delete(connection);
    this.unused.delete(connection);
    this.options.resources.restsNoMore(connection);
    const job = this.current.get(connection);
    if (job) {
      this.current.delete(connection);
      job.held = false;
      if (!job.empty) this.waiting.unshift(job);
    }
    const closedAfter = connection.peerClosedAfter;
    if (closedAfter !== undefined) this.sessionLength.ended(closedAfter, this.clock);
    this.barren = connection.barren ? this.barren + 1 : 0;
    if (this.barren >= MOST_BARREN && this.live.size === 0) {
      this.barren = 0;
      this.attemptFailed(outcomes.died(connection.target.address));
    } else this.work();
    if (this.spent) this.options.empty();
  }
}
