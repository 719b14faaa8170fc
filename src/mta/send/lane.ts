/**
 * A lane: the jobs of one site and class. A bounded part of them is in memory, one list per message,
 * taken in turn, so that a small message does not wait behind a big one; of the rest only the
 * earliest time is known. A blocked or empty lane costs its bytes and nothing else.
 */
import type { LaneName, LanePage, MessageClass } from "../queue/work.ts";
import type { Job } from "./job.ts";
import type { ChannelName } from "./schedule.ts";
import type { Site } from "./site.ts";

/** Of lanes that have nothing in memory: there may be very many. */
const NO_JOBS: ReadonlyMap<number, Job[]> = new Map();
const NO_IDS: ReadonlySet<number> = new Set();

export class Lane implements LaneName {
  readonly site: string;
  readonly place: Site;
  readonly class: MessageClass;
  readonly channel: ChannelName;
  /** Jobs to start, by message; the first key is next. */
  private ready = NO_JOBS as Map<number, Job[]>;
  readyCount = 0;
  /** Ids of jobs in memory: ready, running, or waiting for their mark. */
  inHand = NO_IDS;
  /** When the earliest job that is not in memory is due. */
  nextAt = Number.POSITIVE_INFINITY;
  /** Ids released while a page of this lane is being read: that page may still show them. */
  released: Set<number> | undefined;
  private nextWhilePaging = Number.POSITIVE_INFINITY;
  /** Whether it stands in its ring. */
  inRing = false;
  /** Its site is blocked, and what waits is so old that its last attempt is made anyway. */
  dying = false;

  constructor(place: Site, cls: MessageClass) {
    this.site = place.name;
    this.place = place;
    this.class = cls;
    this.channel = place.channel;
  }

  get empty(): boolean {
    return this.inHand.size === 0 && this.nextAt === Number.POSITIVE_INFINITY && !this.released;
  }

  push(job: Job): void {
    if (this.inHand === NO_IDS) {
      this.inHand = new Set();
      this.ready = new Map();
    }
    const list = this.ready.get(job.message.id);
    if (list) list.push(job);
    else this.ready.set(job.message.id, [job]);
    this.readyCount++;
    (this.inHand as Set<number>).add(job.row.id);
  }

  peek(): Job | undefined {
    for (const list of this.ready.values()) return list[0];
    return undefined;
  }

  peekOf(message: number): Job | undefined {
    return this.ready.get(message)?.[0];
  }

  /** The next job; with `sameAs`, only one of that message. Its message goes to the end of the turn. */
  shift(sameAs?: number): Job | undefined {
    for (const [message, list] of sameAs === undefined
      ? this.ready
      : ([[sameAs, this.ready.get(sameAs) ?? []]] as const)) {
      const job = list.shift();
      if (!job) return undefined;
      this.readyCount--;
      this.ready.delete(message);
      if (list.length > 0) this.ready.set(message, list);
      return job;
    }
    return undefined;
  }

  /** All but the first `keep` that were not begun leave memory; they are due on disk as they were. */
  giveBack(keep: number): Job[] {
    const back: Job[] = [];
    let kept = 0;
    for (const [message, list] of this.ready) {
      const stays: Job[] = [];
      for (const job of list) (job.started || kept++ < keep ? stays : back).push(job);
      if (stays.length > 0) this.ready.set(message, stays);
      else this.ready.delete(message);
    }
    this.readyCount -= back.length;
    for (const job of back) {
      this.forget(job.row.id);
      this.later(job.row.nextAt);
    }
    return back;
  }

  /** A job that is not in memory becomes due at `at`. */
  later(at: number): void {
    this.nextAt = Math.min(this.nextAt, at);
    this.nextWhilePaging = Math.min(this.nextWhilePaging, at);
  }

  /** The job left memory, and is not what a page under way may show. */
  release(id: number): void {
    this.forget(id);
    this.released?.add(id);
  }

  private forget(id: number): void {
    if (!(this.inHand as Set<number>).delete(id) || this.inHand.size > 0) return;
    this.inHand = NO_IDS;
    this.ready = NO_JOBS as Map<number, Job[]>;
  }

  beginPage(): void {
    this.released = new Set();
    this.nextWhilePaging = Number.POSITIVE_INFINITY;
  }

  /** Rows of the page that are new to us. */
  endPage(page: LanePage): LanePage["jobs"] {
    const released = this.released ?? new Set();
    this.released = undefined;
    this.nextAt = Math.min(page.nextAt ?? Number.POSITIVE_INFINITY, this.nextWhilePaging);
    return page.jobs.filter((row) => !this.inHand.has(row.id) && !released.has(row.id));
  }

  /** The page could not be read. */
  failPage(): void {
    this.released = undefined;
  }
}
