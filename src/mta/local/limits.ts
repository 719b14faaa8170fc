/** Limits of local delivery, in one place. Times in milliseconds. */
import { availableParallelism } from "node:os";

/** How often a worker says that its event loop turns. */
export const HEARTBEAT_MS = 5000;

/** How long the result of a delivery that follows another one waits for company. */
export const RESULTS_GATHER_MS = 2;

export interface WorkerLimits {
  /** Workers of one uid at a time; lists have all but one at most. */
  readonly perUid: number;
  /** Workers of all uids: each costs 10 MB, and 30 that all share. */
  readonly total: number;
  /** Workers that start at once. More would only take longer, and as much memory as many. */
  readonly startsAtOnce: number;
  /** Idle workers that stay while other uids wait for theirs. */
  readonly idleKept: number;
  /** Deliveries under way in one worker that share it. */
  readonly perWorker: number;
  /** A worker without work for this long is told to stop. */
  readonly idleMs: number;
  /** A worker serves at least this long before it leaves for a uid that has none. */
  readonly tenureMs: number;
  /** A worker silent for this long is killed. A turn of the event loop that long is a hang. */
  readonly silenceMs: number;
  /** One that is not ready by then is killed, too. */
  readonly startMs: number;
  /** A delivery that takes longer costs its worker. Must exceed DELIVERY_SECONDS of the worker. */
  readonly deadlineMs: number;
  /** A line that killed this many workers runs as commands from then on. */
  readonly killsForgiven: number;
  /** Heap of a worker, megabytes. */
  readonly heapMegabytes: number;
}

export const workerLimits: WorkerLimits = {
  perUid: 4,
  total: 40,
  startsAtOnce: Math.max(4, 2 * availableParallelism()),
  idleKept: 6,
  perWorker: 64,
  idleMs: 60_000,
  tenureMs: 1000,
  silenceMs: 120_000,
  startMs: 30_000,
  deadlineMs: 3_600_000,
  killsForgiven: 2,
  heapMegabytes: 512,
};

/** Arguments for the node of a worker. The build compiles its code with the same. */
export function nodeFlags(limits: WorkerLimits): string[] {
  return [`--max-old-space-size=${limits.heapMegabytes}`];
}
