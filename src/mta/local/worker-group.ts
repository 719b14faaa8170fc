/**
 * The deliveries of one uid and the workers that run them. Files and forwards share the fullest worker
 * that has room, and so do program lines, of which each waits for a process of its own. A list gets an idle
 * worker to itself, addresses in turn. One worker always stays free of lists, and one more of those of one
 * address: a slow list must not hold up the others of its uid.
 */
import type { UserRecord } from "../channel/worker-messages.ts";
import type { WorkerLimits } from "./limits.ts";
import { RunQueue } from "./run-queue.ts";
import type { Run, WorkerProcess } from "./worker-process.ts";

/** What a delivery needs: room in a worker, the same for long as it has program lines, or a whole worker. */
export type Need = "room" | "program" | "worker";

export class WorkerGroup {
  readonly identity: { readonly uid: number; readonly gid: number };
  readonly workers = new Set<WorkerProcess>();
  /** Workers whose capability is being announced. */
  starting = 0;
  private readonly limits: WorkerLimits;
  private readonly shared = new RunQueue();
  private readonly programs = new RunQueue();
  /** Those that need a whole worker, by address; the first address is next. */
  private readonly lists = new Map<string, RunQueue>();

  constructor({ uid, gid }: UserRecord, limits: WorkerLimits) {
    this.identity = { uid, gid };
    this.limits = limits;
  }

  /** Deliveries that wait for a worker. */
  get waiting(): number {
    let count = this.shared.length + this.programs.length;
    for (const queue of this.lists.values()) count += queue.length;
    return count;
  }

  get isWaiting(): boolean {
    return this.shared.length > 0 || this.programs.length > 0 || this.lists.size > 0;
  }

  get size(): number {
    return this.workers.size + this.starting;
  }

  add(run: Run, need: Need): void {
    this.queue(run, need).push(run);
  }

  /** What a worker gave back unbegun is next. */
  putBack(run: Run, need: Need): void {
    this.queue(run, need).unshift(run);
  }

  takeAll(): Run[] {
    const lists = [...this.lists.values()].flatMap((queue) => queue.take());
    this.lists.clear();
    return [...this.shared.take(), ...this.programs.take(), ...lists];
  }

  /** Hand out what can run. `mayHold`: how many more workers program lines may hold. */
  place(mayHold: () => number, start: (worker: WorkerProcess, run: Run) => void): void {
    while (this.lists.size > 0 && mayHold() > 0) {
      const worker = this.workerForList();
      const run = worker && this.nextOfLists();
      if (!worker || !run) break;
      worker.occupant = run;
      start(worker, run);
    }
    while (this.programs.length > 0) {
      // One that is held already costs nobody a place.
      const worker = this.fullest(true) ?? (mayHold() > 0 ? this.fullest() : undefined);
      if (!worker) break;
      const run = this.programs.shift() as Run;
      worker.programs.add(run.delivery);
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
    const lists = this.lists.size > 0 ? Math.min(this.listsReady(), mayHold()) : 0;
    const shares = this.shared.length > 0 || (this.programs.length > 0 && mayHold() > 0);
    let coming = this.starting;
    let taken = 0;
    for (const worker of this.workers) {
      if (!worker.ready && !worker.ending) coming++;
      if (worker.occupant) taken++;
    }
    // The last place is not for lists, except when it is the only one.
    const places = !shares && taken > 0 ? this.listPlaces : limits.perUid;
    return lists + (shares ? 1 : 0) > coming && this.size < places;
  }

  private get listPlaces(): number {
    return Math.max(1, this.limits.perUid - 1);
  }

  /** Workers one address may have: all places of lists but one. */
  private get addressPlaces(): number {
    return Math.max(1, this.listPlaces - 1);
  }

  /** How many of the waiting lists could run at once; not counted beyond the places there are. */
  private listsReady(): number {
    const held = this.heldByAddress();
    let count = 0;
    for (const [key, queue] of this.lists) {
      count += Math.min(queue.length, Math.max(0, this.addressPlaces - (held.get(key) ?? 0)));
      if (count >= this.limits.perUid) break;
    }
    return count;
  }

  private queue(run: Run, need: Need): RunQueue {
    if (need === "room") return this.shared;
    if (need === "program") return this.programs;
    const key = addressKey(run);
    let queue = this.lists.get(key);
    if (!queue) {
      queue = new RunQueue();
      this.lists.set(key, queue);
    }
    return queue;
  }

  /** An idle worker, unless that would leave none for the others. */
  private workerForList(): WorkerProcess | undefined {
    let taken = 0;
    let idle: WorkerProcess | undefined;
    for (const worker of this.workers) {
      if (worker.occupant) taken++;
      else if (worker.ready && !worker.ending && worker.runs.size === 0) idle = worker;
    }
    return taken < this.listPlaces ? idle : undefined;
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

  /** The next of an address that does not yet have all it may. */
  private nextOfLists(): Run | undefined {
    const held = this.heldByAddress();
    for (const [key, queue] of this.lists) {
      if ((held.get(key) ?? 0) >= this.addressPlaces) continue;
      const run = queue.shift();
      this.lists.delete(key);
      if (queue.length > 0) this.lists.set(key, queue);
      return run;
    }
    return undefined;
  }

  /** The fullest worker with room: the others become idle and may take lists or leave. */
  private fullest(onlyHeld = false): WorkerProcess | undefined {
    let best: WorkerProcess | undefined;
    for (const worker of this.workers) {
      if (!worker.ready || worker.ending || worker.occupant) continue;
      if (worker.runs.size >= this.limits.perWorker) continue;
      if (onlyHeld && !worker.isHeld) continue;
      if (!best || worker.runs.size > best.runs.size) best = worker;
    }
    return best;
  }
}

/** What a .qmail file depends on. */
export function addressKey({ user }: Run): string {
  return `${user.uid} ${user.home} ${user.dash}${user.ext}`;
}
