/**
 * Which worker runs a delivery. Per uid: files and forwards share the fullest worker that has room, a
 * program line gets an idle worker to itself, one worker always stays free of program lines, and one
 * more of those of one address: a slow list must not hold up the others of its uid. Only
 * the worker can see what a .qmail file says; what it finds is remembered per address. When the number
 * of all workers is used up, one that is idle makes room for another uid.
 */
import type { Report } from "../channel/protocol.ts";
import type { UserRecord } from "../channel/worker-messages.ts";
import type { WorkerLimits } from "./limits.ts";
import { CANNOT_RUN, CRASHED, localReport } from "./report.ts";
import { type Run, WorkerProcess, type WorkerStart } from "./worker-process.ts";

/** Addresses remembered as leading to program lines. */
const MEMORY = 20_000;

export interface PoolContext {
  readonly limits: WorkerLimits;
  readonly start: WorkerStart;
  /** Makes a capability and resolves when qmail-send knows it. */
  announce(uid: number): Promise<Buffer>;
  report(report: Report): void;
  now(): number;
}

interface Group {
  readonly identity: { uid: number; gid: number };
  readonly workers: Set<WorkerProcess>;
  /** Workers whose capability is being announced. */
  starting: number;
  shared: Run[];
  programs: Run[];
}

export class WorkerPool {
  private readonly context: PoolContext;
  private readonly groups = new Map<string, Group>();
  /** Addresses with program lines, and how many workers each has killed. */
  private readonly programs = new Map<string, { kills: number }>();
  private stopping = false;

  constructor(context: PoolContext) {
    this.context = context;
  }

  /** Take a delivery; its report comes through the context. */
  submit(run: Run): void {
    const group = this.group(run.user);
    const known = this.programs.get(addressKey(run));
    if (known) group.programs.push(run);
    else group.shared.push(run);
    this.place(group);
  }

  /** Deliveries without report. */
  get pending(): number {
    let count = 0;
    for (const group of this.groups.values()) {
      count += group.shared.length + group.programs.length;
      for (const worker of group.workers) count += worker.runs.size;
    }
    return count;
  }

  get workerPids(): number[] {
    return this.workers().flatMap((worker) => worker.pid ?? []);
  }

  /** Time passes: hung workers are killed, idle ones told to leave. */
  tick(): void {
    const { limits } = this.context;
    const now = this.context.now();
    for (const worker of this.workers()) {
      worker.check(now, limits);
      const idle = worker.runs.size === 0 && now - worker.idleSince > limits.idleMs;
      if (idle && worker.ready && !worker.ending) worker.stop();
    }
  }

  /** What has not begun is forgotten (qmail-send keeps it); workers finish what they have. */
  stop(): void {
    this.stopping = true;
    for (const group of this.groups.values()) {
      group.shared = [];
      group.programs = [];
    }
    for (const worker of this.workers()) worker.stop();
  }

  kill(): void {
    for (const worker of this.workers()) worker.kill();
  }

  private workers(): WorkerProcess[] {
    return [...this.groups.values()].flatMap((group) => [...group.workers]);
  }

  private group({ uid, gid }: UserRecord): Group {
    const key = `${uid}:${gid}`;
    let group = this.groups.get(key);
    if (!group) {
      group = { identity: { uid, gid }, workers: new Set(), starting: 0, shared: [], programs: [] };
      this.groups.set(key, group);
    }
    return group;
  }

  private place(group: Group): void {
    if (this.stopping) return;
    const { limits } = this.context;
    while (group.programs.length > 0) {
      const worker = this.idleWorker(group);
      const next = worker ? this.nextProgram(group) : -1;
      if (!worker || next < 0) break;
      const [run] = group.programs.splice(next, 1);
      this.start(worker, run as Run, true);
    }
    while (group.shared.length > 0) {
      const worker = fullest(group, limits.perWorker);
      if (!worker) break;
      this.start(worker, group.shared.shift() as Run, false);
    }
    this.grow(group);
  }

  /** A worker for a program line, unless that would leave none for files. */
  private idleWorker(group: Group): WorkerProcess | undefined {
    let held = 0;
    let idle: WorkerProcess | undefined;
    for (const worker of group.workers) {
      if (worker.occupant) held++;
      else if (worker.ready && !worker.ending && worker.runs.size === 0) idle = worker;
    }
    return held < Math.max(1, this.context.limits.perUid - 1) ? idle : undefined;
  }

  /** The oldest of an address that does not yet hold all but one of the places; -1: none. */
  private nextProgram(group: Group): number {
    const places = Math.max(1, this.context.limits.perUid - 1);
    const held = new Map<string, number>();
    for (const { occupant } of group.workers) {
      if (!occupant) continue;
      const key = addressKey(occupant);
      held.set(key, (held.get(key) ?? 0) + 1);
    }
    const share = Math.max(1, places - 1);
    return group.programs.findIndex((run) => (held.get(addressKey(run)) ?? 0) < share);
  }

  private start(worker: WorkerProcess, run: Run, alone: boolean): void {
    const memory = this.programs.get(addressKey(run));
    const asCommand = (memory?.kills ?? 0) >= this.context.limits.killsForgiven;
    const ready = asCommand ? { ...run, asCommand } : run;
    if (alone) worker.occupant = ready;
    worker.run(ready, this.context.now());
  }

  /** Start a worker when something waits that one more could run. */
  private grow(group: Group): void {
    const { limits } = this.context;
    const wanted = (group.shared.length > 0 ? 1 : 0) + group.programs.length;
    let coming = group.starting;
    for (const worker of group.workers) if (!worker.ready && !worker.ending) coming++;
    const size = group.workers.size + group.starting;
    const held = [...group.workers].filter((worker) => worker.occupant).length;
    const programsOnly = group.shared.length === 0;
    // The last place is not for program lines, except when it is the only one.
    const places = programsOnly && held > 0 ? Math.max(1, limits.perUid - 1) : limits.perUid;
    if (wanted <= coming || size >= places || !this.makeRoom(group)) return;
    group.starting++;
    this.context.announce(group.identity.uid).then(
      (capability) => {
        group.starting--;
        if (this.stopping) return;
        try {
          this.spawn(group, capability);
        } catch {
          this.failWaiting(group, CANNOT_RUN);
        }
        this.place(group);
      },
      () => {
        group.starting--;
      },
    );
  }

  /** Whether the total allows one more; asks an idle worker of another uid to leave if not. */
  private makeRoom(group: Group): boolean {
    const all = [...this.groups.values()];
    const used = all.reduce((sum, each) => sum + each.workers.size + each.starting, 0);
    if (used < this.context.limits.total) return true;
    const leaving = this.workers().some((worker) => worker.ending);
    if (leaving) return false;
    const idle = all
      .filter((each) => each !== group && each.shared.length + each.programs.length === 0)
      .flatMap((each) => [...each.workers])
      .filter((worker) => worker.ready && worker.runs.size === 0)
      .sort((a, b) => a.idleSince - b.idleSince)[0];
    idle?.stop();
    return false;
  }

  private spawn(group: Group, capability: Buffer): void {
    const { start, limits } = this.context;
    const now = this.context.now();
    const worker = new WorkerProcess(start, group.identity, capability, limits, now, {
      ready: () => this.place(group),
      result: (report) => {
        this.context.report(report);
        this.freed(group);
      },
      exclusive: (run) => this.remember(run),
      back: (run, program) => {
        if (program) this.remember(run);
        (program || this.programs.has(addressKey(run)) ? group.programs : group.shared).unshift(
          run,
        );
        this.place(group);
      },
      lost: (runs, occupant) => {
        group.workers.delete(worker);
        const memory = occupant && this.programs.get(addressKey(occupant));
        if (memory && runs.includes(occupant)) memory.kills++;
        for (const run of runs) this.context.report(localReport(run.delivery, CRASHED));
        this.lost(group, worker);
      },
    });
    group.workers.add(worker);
  }

  /** A worker that never became ready fails what waits, or it would be started again for ever. */
  private lost(group: Group, worker: WorkerProcess): void {
    if (!worker.ready) this.failWaiting(group, CRASHED);
    this.freed(group);
  }

  private failWaiting(group: Group, code: number): void {
    const waiting = [...group.shared.splice(0), ...group.programs.splice(0)];
    for (const run of waiting) this.context.report(localReport(run.delivery, code));
  }

  /** Something ended: perhaps another group waits for the place. */
  private freed(group: Group): void {
    this.place(group);
    for (const [key, each] of this.groups) {
      if (each.shared.length + each.programs.length > 0) this.place(each);
      else if (each.workers.size + each.starting === 0) this.groups.delete(key);
    }
  }

  private remember(run: Run): void {
    const key = addressKey(run);
    if (!this.programs.has(key)) this.programs.set(key, { kills: 0 });
    if (this.programs.size <= MEMORY) return;
    const [oldest] = this.programs.keys();
    if (oldest !== undefined) this.programs.delete(oldest);
  }
}

/** The fullest worker with room: the others become idle and may take program lines or leave. */
function fullest(group: Group, perWorker: number): WorkerProcess | undefined {
  let best: WorkerProcess | undefined;
  for (const worker of group.workers) {
    if (!worker.ready || worker.ending || worker.occupant) continue;
    if (worker.runs.size >= perWorker) continue;
    if (!best || worker.runs.size > best.runs.size) best = worker;
  }
  return best;
}

/** What a .qmail file depends on. */
function addressKey({ user }: Run): string {
  return `${user.uid} ${user.home} ${user.dash}${user.ext}`;
}
