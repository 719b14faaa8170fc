/**
 * All workers. Only a worker can see what a .qmail file says; which program lines it has is remembered
 * per address. When the number of all workers is used up, uids that have none come in turn: idle workers
 * leave for them, then those that have served longest. Program lines, which may take long, never hold
 * all of them.
 */
import type { Report } from "../channel/protocol.ts";
import type { UserRecord } from "../channel/worker-messages.ts";
import type { WorkerLimits } from "./limits.ts";
import { ProgramMemory } from "./program-memory.ts";
import { CANNOT_RUN, CRASHED, localReport } from "./report.ts";
import { WorkerGroup } from "./worker-group.ts";
import { type Run, WorkerProcess, type WorkerStart } from "./worker-process.ts";

export interface PoolContext {
  readonly limits: WorkerLimits;
  readonly start: WorkerStart;
  /** Makes a capability and resolves when qmail-send knows it. */
  announce(uid: number): Promise<Buffer>;
  report(report: Report): void;
  /** Milliseconds on a clock that never jumps: who sets the time must not end deliveries. */
  now(): number;
}

export class WorkerPool {
  private readonly context: PoolContext;
  private readonly groups = new Map<string, WorkerGroup>();
  private readonly live = new Map<WorkerProcess, WorkerGroup>();
  /** Workers whose capability is being announced. */
  private starting = 0;
  /** Groups whose deliveries wait and that have no worker, in the order in which they began to wait. */
  private readonly without = new Set<WorkerGroup>();
  /** Groups that have workers and more deliveries than those can take. */
  private readonly beyond = new Set<WorkerGroup>();
  private readonly programs: ProgramMemory;
  /** Somebody could not have one more worker for a program line. */
  private heldUp = false;
  private stopping = false;

  constructor(context: PoolContext) {
    this.context = context;
    this.programs = new ProgramMemory(context.limits.killsForgiven);
  }

  /** Take a delivery; its report comes through the context. */
  submit(run: Run): void {
    const group = this.group(run.user);
    group.add(run, this.programs.needOf(run));
    this.place(group);
  }

  /** Deliveries without report. */
  get pending(): number {
    let count = 0;
    for (const group of this.groups.values()) {
      count += group.waiting;
      for (const worker of group.workers) count += worker.runs.size;
    }
    return count;
  }

  get workerPids(): number[] {
    return [...this.live.keys()].flatMap((worker) => worker.pid ?? []);
  }

  /** Time passes: hung workers are killed, idle ones told to leave. */
  tick(): void {
    const { limits } = this.context;
    const now = this.context.now();
    for (const worker of [...this.live.keys()]) {
      worker.check(limits);
      const idle = worker.runs.size === 0 && now - worker.idleSince > limits.idleMs;
      if (idle && worker.ready && !worker.ending) worker.stop();
    }
    this.grow();
  }

  /** What has not begun is forgotten (qmail-send keeps it); workers finish what they have. */
  stop(): void {
    this.stopping = true;
    for (const group of this.groups.values()) group.takeAll();
    for (const worker of this.live.keys()) worker.stop();
  }

  /** The workers end what still runs, programs too, and leave; nothing of it is reported. */
  dismiss(): void {
    for (const worker of this.live.keys()) worker.dismiss();
  }

  kill(): void {
    for (const worker of [...this.live.keys()]) worker.kill();
  }

  private group(user: UserRecord): WorkerGroup {
    const key = `${user.uid}:${user.gid}`;
    let group = this.groups.get(key);
    if (!group) {
      group = new WorkerGroup(user, this.context.limits);
      this.groups.set(key, group);
    }
    return group;
  }

  /** How many more workers program lines may hold: a quarter of all stays free of them. */
  private readonly mayHold = (): number => {
    const { total } = this.context.limits;
    let held = 0;
    for (const worker of this.live.keys()) if (worker.isHeld) held++;
    const left = Math.max(0, total - Math.floor(total / 4) - held);
    if (left === 0) this.heldUp = true;
    return left;
  };

  private place(group: WorkerGroup): void {
    if (this.stopping) return;
    this.placeIn(group);
    if (this.without.size + this.beyond.size === 0) return;
    if (this.heldUp && this.mayHold() > 0) {
      this.heldUp = false;
      for (const other of [...this.beyond]) this.placeIn(other);
    }
    this.grow();
  }

  private placeIn(group: WorkerGroup): void {
    group.place(this.mayHold, (worker, run) => this.start(worker, run));
    this.line(group);
  }

  private start(worker: WorkerProcess, run: Run): void {
    const ready = this.programs.isCommand(run) ? { ...run, asCommand: true } : run;
    if (worker.occupant === run) worker.occupant = ready;
    worker.run(ready);
  }

  /** Put a group in the line where it belongs: a place it has there it keeps. */
  private line(group: WorkerGroup): void {
    const line = group.size === 0 ? this.without : this.beyond;
    if (line === this.without || !group.isWaiting) this.beyond.delete(group);
    if (line === this.beyond || !group.isWaiting) this.without.delete(group);
    if (group.isWaiting) line.add(group);
  }

  /** Start workers for what waits, those without any first, and make room when there is none. */
  private grow(): void {
    const { limits } = this.context;
    let coming = this.starting;
    for (const worker of this.live.keys()) if (!worker.ready && !worker.ending) coming++;
    for (const line of [this.without, this.beyond]) {
      for (const group of line) {
        if (coming >= limits.startsAtOnce) return;
        if (!group.wantsWorker(this.mayHold)) continue;
        if (this.live.size + this.starting >= limits.total) {
          this.makeRoom(group);
          return;
        }
        this.begin(group);
        coming++;
      }
    }
  }

  /** While uids wait for a worker only some of those that have nothing to do stay. */
  private thinOut(): void {
    if (this.without.size === 0) return;
    let idle = 0;
    let oldest: WorkerProcess | undefined;
    for (const worker of this.live.keys()) {
      if (!worker.ready || worker.ending || worker.runs.size > 0) continue;
      idle++;
      if (!oldest || worker.idleSince < oldest.idleSince) oldest = worker;
    }
    if (idle > this.context.limits.idleKept) oldest?.stop();
  }

  private begin(group: WorkerGroup): void {
    group.starting++;
    this.starting++;
    this.line(group);
    const announced = (): void => {
      group.starting--;
      this.starting--;
    };
    this.context.announce(group.identity.uid).then((capability) => {
      announced();
      if (this.stopping) return;
      try {
        this.spawn(group, capability);
      } catch {
        this.failWaiting(group, CANNOT_RUN);
      }
      this.place(group);
    }, announced);
  }

  /** Ask a worker to leave, unless as many are leaving already as groups wait. */
  private makeRoom(group: WorkerGroup): void {
    const now = this.context.now();
    let leaving = 0;
    let idle: WorkerProcess | undefined;
    let veteran: WorkerProcess | undefined;
    for (const [worker, other] of this.live) {
      if (worker.ending) leaving++;
      else if (other === group || !worker.ready) continue;
      else if (worker.runs.size === 0) {
        if (!idle || worker.idleSince < idle.idleSince) idle = worker;
      } else if (!worker.isHeld && now - worker.readyAt >= this.context.limits.tenureMs) {
        if (!veteran || worker.readyAt < veteran.readyAt) veteran = worker;
      }
    }
    if (leaving >= this.without.size + this.beyond.size) return;
    // Who has no worker at all does not wait until others have nothing to do.
    const leaves = idle ?? (group.size === 0 ? veteran : undefined);
    leaves?.stop();
  }

  private spawn(group: WorkerGroup, capability: Buffer): void {
    const { start, limits, now } = this.context;
    const worker = new WorkerProcess(start, group.identity, capability, limits, now, {
      ready: () => {
        this.place(group);
        // Its place among those that start is free, whether anything is left for it or not.
        this.grow();
      },
      results: (reports, runs) => {
        this.programs.acquit(runs);
        for (const report of reports) this.context.report(report);
        this.place(group);
        if (worker.runs.size === 0) this.thinOut();
      },
      program: (run, alone) => this.programs.remember(run, alone),
      back: (run, alone) => {
        if (alone) this.programs.remember(run, alone);
        group.putBack(run, this.programs.needOf(run));
        this.place(group);
      },
      lost: (runs, suspects) => {
        group.workers.delete(worker);
        this.live.delete(worker);
        if (!worker.isDismissed) this.programs.accuse(suspects);
        // Once we stop qmail-send puts back what gets no report.
        if (!this.stopping)
          for (const run of runs) this.context.report(localReport(run.delivery, CRASHED));
        this.lost(group, worker);
      },
    });
    group.workers.add(worker);
    this.live.set(worker, group);
  }

  /** A worker that never became ready fails what waits, or it would be started again for ever. */
  private lost(group: WorkerGroup, worker: WorkerProcess): void {
    if (!worker.ready) this.failWaiting(group, CRASHED);
    this.place(group);
    if (group.size === 0 && !group.isWaiting) {
      const { uid, gid } = group.identity;
      this.groups.delete(`${uid}:${gid}`);
    }
  }

  private failWaiting(group: WorkerGroup, code: number): void {
    for (const run of group.takeAll()) this.context.report(localReport(run.delivery, code));
  }
}
