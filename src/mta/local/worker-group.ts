/**
 * The deliveries of one uid and the workers that run them. Files and forwards share the fullest worker
 * that has room; a program line gets an idle worker to itself, addresses in turn. One worker always stays
 * free of program lines, and one more of those of one address: a slow list must not hold up the others
 * of its uid.
 */
import type { UserRecord } from "../channel/worker-messages.ts";
import type { WorkerLimits } from "./limits.ts";
import { RunQueue } from "./run-queue.ts";
import type { Run, WorkerProcess } from "./worker-process.ts";

export class WorkerGroup {
  readonly identity: { readonly uid: number; readonly gid: number };
  readonly workers = new Set<WorkerProcess>();
  /** Workers whose capability is being announced. */
  starting = 0;
  private readonly limits: WorkerLimits;
  private readonly shared = new RunQueue();
  /** Deliveries to program lines by address; the first address is next. */
  private readonly programs = new Map<string, RunQueue>();

  constructor({ uid, gid }: UserRecord, limits: WorkerLimits) {
    this.identity = { uid, gid };
    this.limits = limits;
  }

  /** Deliveries that wait for a worker. */
  get waiting(): number {
    let count = this.shared.length;
    for (const queue of this.programs.values()) count += queue.length;
    return count;
  }

  get isWaiting(): boolean {
    return this.shared.length > 0 || this.programs.size > 0;
  }

  get size(): number {
    return this.workers.size + this.starting;
  }

  add(run: Run, program: boolean): void {
    if (program) this.programQueue(run).push(run);
    else this.shared.push(run);
  }

  /** What a worker gave back unbegun is next. */
  putBack(run: Run, program: boolean): void {
    if (program) this.programQueue(run).unshift(run);
    else this.shared.unshift(run);
  }

  takeAll(): Run[] {
    const programs = [...this.programs.values()].flatMap((queue) => queue.take());
    this.programs.clear();
    return [...this.shared.take(), ...programs];
  }

  /** Hand out what can run. `mayHold`: how many more workers program lines may hold. */
  place(mayHold: () => number, start: (worker: WorkerProcess, run: Run) => void): void {
    while (this.programs.size > 0 && mayHold() > 0) {
      const worker = this.workerForProgram();
      const run = worker && this.nextProgram();
      if (!worker || !run) break;
      worker.occupant = run;
      start(worker, run);
    }
    while (this.shared.length > 0) {
      const worker = this.fullest();
      if (!worker) break;
      start(worker, this.shared.shift() as Run);
    }
  }

  /** Whether one more worker would run something that waits. */
  wantsWorker(mayHold: () => number): boolean {
    const { limits } = this;
    const programs = this.programs.size > 0 ? Math.min(this.programsReady(), mayHold()) : 0;
    const wanted = (this.shared.length > 0 ? 1 : 0) + programs;
    let coming = this.starting;
    let held = 0;
    for (const worker of this.workers) {
      if (!worker.ready && !worker.ending) coming++;
      if (worker.occupant) held++;
    }
    // The last place is not for program lines, except when it is the only one.
    const programsOnly = this.shared.length === 0 && held > 0;
    const places = programsOnly ? this.programPlaces : limits.perUid;
    return wanted > coming && this.size < places;
  }

  private get programPlaces(): number {
    return Math.max(1, this.limits.perUid - 1);
  }

  /** Workers one address may hold: all places but one. */
  private get addressPlaces(): number {
    return Math.max(1, this.programPlaces - 1);
  }

  /** How many of the waiting program lines could run at once; not counted beyond the places there are. */
  private programsReady(): number {
    const held = this.heldByAddress();
    let count = 0;
    for (const [key, queue] of this.programs) {
      count += Math.min(queue.length, Math.max(0, this.addressPlaces - (held.get(key) ?? 0)));
      if (count >= this.limits.perUid) break;
    }
    return count;
  }

  private programQueue(run: Run): RunQueue {
    const key = addressKey(run);
    let queue = this.programs.get(key);
    if (!queue) {
      queue = new RunQueue();
      this.programs.set(key, queue);
    }
    return queue;
  }

  /** An idle worker, unless that would leave none for files. */
  private workerForProgram(): WorkerProcess | undefined {
    let held = 0;
    let idle: WorkerProcess | undefined;
    for (const worker of this.workers) {
      if (worker.occupant) held++;
      else if (worker.ready && !worker.ending && worker.runs.size === 0) idle = worker;
    }
    return held < this.programPlaces ? idle : undefined;
  }

  private heldByAddress(): Map<string, number> {
    const held = new Map<string, number>();
    for (const { occupant } of this.workers) {
      if (!occupant) continue;
      const key = addressKey(occupant);
      held.set(key, (held.get(key) ?? 0) + 1);
    }
    return held;
  }

  /** The next of an address that does not yet hold all it may. */
  private nextProgram(): Run | undefined {
    const held = this.heldByAddress();
    for (const [key, queue] of this.programs) {
      if ((held.get(key) ?? 0) >= this.addressPlaces) continue;
      const run = queue.shift();
      this.programs.delete(key);
      if (queue.length > 0) this.programs.set(key, queue);
      return run;
    }
    return undefined;
  }

  /** The fullest worker with room: the others become idle and may take program lines or leave. */
  private fullest(): WorkerProcess | undefined {
    let best: WorkerProcess | undefined;
    for (const worker of this.workers) {
      if (!worker.ready || worker.ending || worker.occupant) continue;
      if (worker.runs.size >= this.limits.perWorker) continue;
      if (!best || worker.runs.size > best.runs.size) best = worker;
    }
    return best;
  }
}

/** What a .qmail file depends on. */
export function addressKey({ user }: Run): string {
  return `${user.uid} ${user.home} ${user.dash}${user.ext}`;
}
