/** What is out: a slot is one `remote` or `local` message to a peer, with up to 200 deliveries. */
import type { ChunkSink } from "./bodies.ts";
import type { Job } from "./job.ts";
import type { ChannelName } from "./schedule.ts";
import type { Site } from "./site.ts";

/** The peer of a channel: qmail-lspawn or qmail-rspawn. */
export interface Peer extends ChunkSink {
  readonly backlogBytes: number;
  /** Send now what was given to it. */
  flush(): boolean;
}

export class Slot {
  readonly channel: ChannelName;
  readonly site: Site;
  /** Number of its first delivery; the others follow. */
  readonly first: number;
  /** Per delivery: the job and the index in it. */
  readonly jobs: readonly Job[];
  readonly indexes: readonly number[];
  /** Rows of the jobs, each once. */
  readonly ids: readonly number[];
  readonly ended: boolean[];
  left: number;
  /** Whether somebody at the site answered; undefined when that cannot be told. */
  connected: boolean | undefined = false;
  /** Seconds; when it was started or last heard of. */
  heardAt: number;
  private readonly startedMs = performance.now();
  /** It was not heard of for long. */
  silent = false;

  constructor(
    channel: ChannelName,
    site: Site,
    first: number,
    jobs: readonly Job[],
    indexes: readonly number[],
    now: number,
  ) {
    this.channel = channel;
    this.site = site;
    this.first = first;
    this.jobs = jobs;
    this.indexes = indexes;
    this.ids = (jobs.length > 1 ? [...new Set(jobs)] : jobs).map((job) => job.row.id);
    this.ended = new Array(jobs.length).fill(false);
    this.left = jobs.length;
    this.heardAt = now;
  }

  get done(): number {
    return this.jobs.length - this.left;
  }

  get ageSeconds(): number {
    return (performance.now() - this.startedMs) / 1000;
  }

  /** Seconds for each delivery so far, the one under way counted. */
  get pace(): number {
    return this.ageSeconds / Math.min(this.done + 1, this.jobs.length);
  }
}

/** The slots of a channel, the peer that works on them, and how many there may be. */
export class Slots {
  readonly name: ChannelName;
  readonly limit: number;
  peer: Peer | undefined;
  /** The peer that has been waited for since it took no more. */
  full: Peer | undefined;
  /** Running, by rising delivery number. */
  readonly slots: Slot[] = [];
  /** Messages whose body the peer has. */
  readonly bodies = new Set<number>();

  constructor(name: ChannelName, limit: number) {
    this.name = name;
    this.limit = limit;
  }

  private place(delivery: number): number {
    let low = 0;
    let high = this.slots.length - 1;
    while (low <= high) {
      const middle = (low + high) >> 1;
      const slot = this.slots[middle] as Slot;
      if (delivery < slot.first) high = middle - 1;
      else if (delivery >= slot.first + slot.jobs.length) low = middle + 1;
      else return middle;
    }
    return -1;
  }

  /** The slot this delivery is in. */
  find(delivery: number): Slot | undefined {
    return this.slots[this.place(delivery)];
  }

  remove(slot: Slot): void {
    this.slots.splice(this.place(slot.first), 1);
  }
}
