/**
 * NAME         qmail-send - take in, schedule and follow deliveries
 * SYNOPSIS     started by qmail-start
 * DESCRIPTION  Owns the queue. Serves queue/intake (servers), queue/deliver (local workers,
 *              qmail-lspawn, qmail-rspawn) and queue/admin (qmail-qread, qmail-qstat), reads
 *              queue/drop, decides local or remote for each recipient, hands deliveries to
 *              qmail-lspawn and qmail-rspawn, tries again on a quadratic schedule, and bounces what
 *              failed. Opens no network connection and runs no command.
 *              TERM finishes or puts back what runs, HUP rereads locals and virtualdomains, ALRM
 *              makes everything due; qmail-start passes them on as messages.
 * ENVIRONMENT  EZQMAIL_FAILPOINT (tests), EZQMAIL_EXPIRE_GRACE: seconds after a start or a clock
 *              jump in which no message is given up, default 600.
 * FILES        control/bouncefrom bouncehost bouncemaxbytes concurrencylocal concurrencyremote
 *              doublebouncehost doublebounceto envnoathost locals me percenthack queuelifetime
 *              smtproutes virtualdomains; queue/queue.db, queue/mess, queue/drop,
 *              queue/lock/sendmutex, queue/lock/running, queue/lock/trigger
 * EXIT CODES   0 after TERM. 111 cannot start, or the queue cannot be trusted any more.
 * DIAGNOSTICS  The log lines of qmail-log on descriptor 1.
 * BUGS         qmail-qread shows no recipients of jobs that are done as a whole.
 * SEE ALSO     qmail-start, qmail-lspawn, qmail-rspawn, qmail-qread, qmail-qstat, qmail-queue
 */
import { join } from "node:path";
import { TemporaryError } from "../../lib/errors.ts";
import { LogWriter } from "../../lib/log.ts";
import { SMALL_BODY } from "../channel/protocol.ts";
import { Failpoint } from "../queue/failpoint.ts";
import { Intake } from "../queue/intake.ts";
import { Queue } from "../queue/queue.ts";
import type { Expansion, MessageEnd, NewMessage } from "../queue/work.ts";
import { Backlog } from "./backlog.ts";
import { Bodies } from "./bodies.ts";
import { Bouncer } from "./bouncer.ts";
import { Clients } from "./clients.ts";
import { readControls, rereadTables, type SendControls } from "./controls.ts";
import { Dispatch } from "./dispatch.ts";
import { Dropped } from "./dropped.ts";
import { Events } from "./events.ts";
import { ExpiryGrace } from "./expiry-grace.ts";
import { jobsThatWereOut, OutRecord } from "./out-record.ts";
import type { Standing } from "./peers.ts";
import { makeQueueDirectories, takeSendMutex } from "./queue-home.ts";
import { Router } from "./route.ts";
import { latestTry } from "./schedule.ts";
import { Todo } from "./todo.ts";
import { Upkeep } from "./upkeep.ts";
import { Window } from "./window.ts";

const TICK_MS = 1000;
const SWEEP_MS = 3_600_000;
/** Running deliveries may take this long when we are to hurry: longer than those who do them wait. */
const HURRY_MS = 7000;
const LOG_STALLED = "mail server temporarily rejected message (#4.3.0)";

export interface SendOptions {
  readonly home: string;
  /** Directory of the built entry files, as a file URL ending in `/`. */
  readonly threads: URL;
  readonly uid: number;
  readonly failpoint: string | undefined;
  readonly expireGraceSeconds: number;
  /** Die by SIGKILL: a failpoint. */
  kill(): void;
  /** End with this code. `flushed` false: a write to a stalled reader is still under way. */
  exit(code: number, flushed: boolean): void;
}

export class QmailSend {
  private readonly o: SendOptions;
  private readonly log: LogWriter;
  readonly events: Events;
  private readonly clients: Clients;
  private controls!: SendControls;
  private router!: Router;
  private queue!: Queue;
  private out!: OutRecord;
  private intake!: Intake;
  private bodies!: Bodies;
  private window!: Window;
  private dispatch!: Dispatch;
  private todo!: Todo;
  private bouncer!: Bouncer;
  private dropped!: Dropped;
  private upkeep!: Upkeep;
  private backlog!: Backlog;
  private timers: NodeJS.Timeout[] = [];
  private lock: { close(): void } | undefined;
  private readonly grace: ExpiryGrace;
  private serving = false;
  /** Asked of us before we served. */
  private readonly early = new Set<"reread" | "flush">();
  private stopping = false;
  /** No delivery runs any more: mail is refused. */
  private closing = false;
  private dying = false;

  constructor(options: SendOptions) {
    this.o = options;
    this.log = new LogWriter();
    this.events = new Events(this.log);
    this.clients = new Clients(options.home, options.uid, this.events);
    this.grace = new ExpiryGrace(options.expireGraceSeconds);
    this.log.drained = () => this.resume();
  }

  private readonly now = (): Date => new Date();
  private readonly seconds = (): number => Math.floor(Date.now() / 1000);

  private path(...names: string[]): string {
    return join(this.o.home, "queue", ...names);
  }

  // ---- start --------------------------------------------------------------------------------

  /** Serves when it resolves. Rejects with a reason for `alert: cannot start: REASON`. */
  async start(): Promise<void> {
    const { home } = this.o;
    try {
      this.controls = readControls(home);
    } catch (error) {
      throw new TemporaryError("unable to read controls", { cause: error });
    }
    makeQueueDirectories(home);
    this.lock = takeSendMutex(home);
    const failpoint = new Failpoint(this.o.failpoint, this.o.kill);
    this.queue = await Queue.open({
      home,
      threads: this.o.threads,
      failpoint: this.o.failpoint,
      fatal: (text) => this.fatal(text),
    });
    await this.queue.route(this.controls.tables);
    this.router = new Router(this.controls.tables);
    const { lastMessage } = await this.queue.read({ kind: "counts" });
    await this.accuse();
    this.build(failpoint, lastMessage);
    await this.upkeep.begin();
    await this.backlog.load(this.latest());
    this.grace.begin();
    await this.bouncer.load();
    await this.todo.load();
    await this.listen();
    this.serving = true;
    this.dispatch.status();
    this.startTimers();
    this.dropped.begin();
    if (this.early.has("reread")) void this.reread();
    if (this.early.has("flush")) void this.flush();
  }

  /** What was out when the last qmail-send died may have been the reason. */
  private async accuse(): Promise<void> {
    const path = this.path("lock", "running");
    const jobs = jobsThatWereOut(path);
    const again = jobs.length > 0 ? await this.queue.crashed(jobs, this.seconds()) : [];
    for (const job of again) this.events.suspect(job, job.crashes, "qmail-send");
    this.out = new OutRecord(path);
  }

  private lifetime = () => ({
    queuelifetime: this.controls.queuelifetime,
    notBefore: this.grace.notBefore,
  });

  private build(failpoint: Failpoint, lastId: number): void {
    const { home } = this.o;
    const { queue, events } = this;
    this.bodies = new Bodies(queue, home);
    this.intake = new Intake({
      home,
      queue,
      failpoint,
      lastId,
      now: this.now,
      accepted: (message, expansion) => this.accepted(message, expansion),
      router: () => (this.stopping || this.log.full ? undefined : this.router),
      trouble: (what, error) => events.trouble(what, error),
      refusing: () => (this.log.full || this.closing ? LOG_STALLED : undefined),
    });
    this.upkeep = new Upkeep({
      home,
      queue,
      events,
      receiving: this.intake.receiving,
      // A delivery is settled at the latest when its message expires.
      oldestKey: () => this.seconds() - this.controls.queuelifetime - 86_400,
    });
    this.window = new Window({
      store: queue,
      now: this.seconds,
      lifetime: this.lifetime,
      limits: this.controls.concurrency,
      trouble: (error) => events.trouble("trouble reading deliveries that are due", error),
      wake: () => this.dispatch.wake(),
    });
    this.backlog = new Backlog({
      queue,
      window: this.window,
      events,
      now: this.seconds,
      wake: () => this.dispatch.wake(),
    });
    this.dispatch = new Dispatch({
      window: this.window,
      queue,
      bodies: this.bodies,
      events,
      failpoint,
      out: this.out,
      concurrency: this.controls.concurrency,
      lifetime: this.lifetime,
      now: this.seconds,
      logStalled: () => this.log.full,
      markTrouble: () => this.upkeep.makeRoom(),
      ended: (end) => this.ended(end),
      settled: (deliveries) => this.dropped.settled(deliveries),
      unroute: (address) => this.router.unroute(address),
    });
    this.todo = new Todo({
      queue,
      expanded: (expansion) => this.expanded(expansion),
      trouble: (id, error) => this.todoTrouble(id, error),
      paused: () => this.log.full,
    });
    this.bouncer = new Bouncer({
      queue,
      intake: this.intake,
      bodies: this.bodies,
      events,
      controls: this.controls.bounce,
      uid: this.o.uid,
      now: this.now,
      accepted: (message) => this.todo.add(message),
    });
    this.dropped = new Dropped({
      home,
      queue,
      intake: this.intake,
      failpoint,
      events,
      now: this.now,
      phrase: (uid) => this.clients.phrase(uid),
      paused: () => this.stopping || this.log.full,
    });
  }

  private listen(): Promise<void> {
    const { intake, bodies, dispatch, queue } = this;
    return this.clients.listen(
      { intake, bodies, dispatch, slow: () => this.todo.slow() },
      { queue, flush: () => this.flush(), reread: () => this.reread() },
    );
  }

  private startTimers(): void {
    this.timers = [
      setInterval(() => this.tick(), TICK_MS),
      setInterval(() => void this.upkeep.sweep(), SWEEP_MS),
      setInterval(() => void this.mend(), SWEEP_MS),
    ];
  }

  private tick(): void {
    if (this.grace.tick()) this.clockJumped();
    this.dispatch.tick();
    this.window.tick();
    this.resume();
    this.dropped.tick();
    void this.upkeep.checkpoint();
  }

  /** Seconds. What is to be tried later was put there by a clock that was wrong. */
  private latest(): number {
    return latestTry(this.seconds(), this.controls.queuelifetime);
  }

  private mend(): Promise<void> {
    return this.backlog.mend(this.latest());
  }

  /** Whatever was to happen at a time of the other clock may be years away. */
  private clockJumped(): void {
    this.events.warning("the clock jumped; what was put off too long is due");
    this.dispatch.clockJumped();
    this.window.unblock();
    void this.mend();
  }

  private resume(): void {
    this.dispatch.wake();
    this.todo.run();
  }

  // ---- arrows -------------------------------------------------------------------------------

  private accepted(message: NewMessage, expansion: Expansion | undefined): void {
    if (expansion) this.expanded(expansion);
    if (!expansion?.finished) this.todo.add(message);
    // When much waits on disk its bodies would wait in memory for long.
    const { id, body } = message;
    if (!body || body.length > SMALL_BODY) return;
    if (this.window.has(id) || this.bodies.hasRoom) this.bodies.keep(id, body);
  }

  private expanded(expansion: Expansion): void {
    if (expansion.begun) this.events.newMessage(expansion.message);
    this.window.addNew(expansion.jobs, expansion.message);
    if (expansion.end) this.ended(expansion.end);
    this.dispatch.wake();
  }

  private todoTrouble(id: number | undefined, error: unknown): void {
    const which = id === undefined ? "messages" : `msg ${id}`;
    const what = `trouble preprocessing ${which}; will try again later`;
    this.events.trouble(what, error, "trouble preprocessing");
  }

  private ended(end: MessageEnd): void {
    if (end.end === "bounce") {
      this.bouncer.add(end.message);
    } else {
      this.bodies.forget(end.message);
      this.events.endMessage(end.message);
    }
  }

  // ---- control ------------------------------------------------------------------------------

  announce(capability: Buffer, standing: Standing): void {
    this.clients.announce(capability, standing);
  }

  /** HUP */
  async reread(): Promise<void> {
    if (!this.serving) return void this.early.add("reread");
    let tables: SendControls["tables"];
    try {
      tables = rereadTables(this.o.home, this.controls.tables);
    } catch (error) {
      this.events.alarm("unable to reread controls", error);
      return;
    }
    this.controls = { ...this.controls, tables };
    this.router = new Router(tables);
    try {
      await this.queue.route(tables);
    } catch (error) {
      this.events.alarm("unable to reread controls", error);
    }
  }

  /** ALRM: everything that waits is due now. */
  async flush(): Promise<void> {
    if (!this.serving) return void this.early.add("flush");
    await this.backlog.flush();
  }

  /** TERM: exit code 0 follows when what runs has ended. */
  async stop(): Promise<void> {
    if (this.stopping) return;
    this.stopping = true;
    if (!this.serving) {
      this.o.exit(111, true);
      return;
    }
    for (const timer of this.timers) clearInterval(timer);
    this.clients.closeIntake();
    this.todo.stop();
    this.bouncer.stop();
    // Deliveries may hand in mail until they end; it stays in todo.
    await Promise.all([this.dispatch.stop(), this.dropped.stop()]);
    this.closing = true;
    await this.clients.end();
    await this.queue.close();
    this.out.close();
    this.lock?.close();
    this.events.exiting();
    this.o.exit(0, await this.log.flush());
  }

  /** After `stop`: the end is not to wait for deliveries that take long. */
  hurry(): void {
    if (this.serving) setTimeout(() => this.dispatch.putBack(), HURRY_MS).unref();
  }

  private fatal(text: string): void {
    if (this.dying) return;
    this.dying = true;
    void this.giveUp(text);
  }

  private async giveUp(text: string): Promise<void> {
    this.events.alert(`${text}; exiting, nothing that was accepted is lost`);
    this.o.exit(111, await this.log.flush());
  }

  /** Could not start: one line, exit 111. */
  async refuse(reason: string): Promise<void> {
    this.events.alert(`cannot start: ${reason}`);
    this.o.exit(111, await this.log.flush());
  }
}
