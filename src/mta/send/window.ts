/**
 * The part of the queue that is in memory, and whose turn it is. Order: class (weighted, never
 * absolute), then site, then message. Bulk mail and any single site leave some slots free. Lanes
 * page in from the store when they are due and the window has room. Fan-out has room of its own, and
 * no lane takes more than a part: neither a big post nor a dead site keeps other mail out of memory.
 */
import type { QueueStore } from "../queue/queue.ts";
import type { JobRow, LaneName, MessageClass, MessageRow } from "../queue/work.ts";
import { Job } from "./job.ts";
import { Lane } from "./lane.ts";
import { type ChannelName, isDying, type Lifetime } from "./schedule.ts";

/** Of fan-out, and as much again of everything else. */
const JOBS_IN_MEMORY = 20_000;
const RECIPIENTS_IN_MEMORY = 100_000;
/** Jobs of one lane that wait in memory; more of it is paged in later. */
const LANE_JOBS = 1000;
/** Jobs of one lane read at once, lanes read at once. */
const PAGE_JOBS = 16;
const PAGE_LANES = 64;
/** How long the failures of a site are remembered, seconds. */
const SITE_MEMORY = 3600;
/** Who is asked first, turn by turn; the other classes follow in order. */
const TURNS: readonly MessageClass[] = [0, 1, 0, 2, 1, 0, 1, 2];

interface Site {
  running: number;
  /** The last delivery that ended there was answered. Until one is, the site gets few slots. */
  answers: boolean;
  failures: number;
  blockedUntil: number;
}

/** What is in memory of a part of the mail, and what asks to come in. */
class Room {
  jobs = 0;
  recipients = 0;
  /** Lanes with due jobs on disk and few in memory, in the order they asked. */
  readonly hungry = new Set<Lane>();

  get full(): boolean {
    return this.jobs >= JOBS_IN_MEMORY || this.recipients >= RECIPIENTS_IN_MEMORY;
  }

  get wantsPage(): boolean {
    return this.hungry.size > 0 && !this.full;
  }
}

export interface WindowOptions {
  readonly store: QueueStore;
  /** Seconds. */
  now(): number;
  readonly lifetime: () => Lifetime;
  /** Something became ready. */
  wake(): void;
}

export class Window {
  private readonly options: WindowOptions;
  private readonly lanes = new Map<string, Lane>();
  private readonly sites = new Map<string, Site>();
  private readonly rings: Record<ChannelName, [Lane[], Lane[], Lane[]]> = {
    local: [[], [], []],
    remote: [[], [], []],
  };
  private readonly messages = new Map<number, { row: MessageRow; jobs: number }>();
  private readonly rooms = [new Room(), new Room()] as const;
  private turn = 0;
  private paging = false;
  /** Called when no job of a message is in memory any more. */
  idleMessage: (id: number) => void = () => {};

  constructor(options: WindowOptions) {
    this.options = options;
  }

  private lane(name: LaneName): Lane {
    const key = `${name.class}${name.site}`;
    let lane = this.lanes.get(key);
    if (!lane) {
      lane = new Lane(name);
      this.lanes.set(key, lane);
    }
    return lane;
  }

  private site(name: string): Site {
    let site = this.sites.get(name);
    if (!site) {
      site = { running: 0, answers: false, failures: 0, blockedUntil: 0 };
      this.sites.set(name, site);
    }
    return site;
  }

  private room(cls: MessageClass): Room {
    return this.rooms[cls === 2 ? 1 : 0];
  }

  /** The store holds jobs of this lane, the earliest due at `nextAt`. */
  addLane(name: LaneName, nextAt: number): void {
    const lane = this.lane(name);
    lane.later(nextAt);
    this.check(lane);
  }

  /** Ask for a page when the lane needs one. */
  check(lane: Lane): void {
    if (lane.nextAt <= this.options.now() && lane.readyCount <= PAGE_JOBS / 2) {
      this.room(lane.class).hungry.add(lane);
    }
  }

  /** Once a second or so: lanes whose time has come. */
  tick(): void {
    for (const lane of this.lanes.values()) this.check(lane);
    const longAgo = this.options.now() - SITE_MEMORY;
    for (const [name, site] of this.sites) {
      if (site.running === 0 && site.blockedUntil < longAgo) this.sites.delete(name);
    }
  }

  get wantsPage(): boolean {
    return !this.paging && this.rooms.some((room) => room.wantsPage);
  }

  /** Jobs that were just made, all due. What does not fit is paged in later. */
  addNew(rows: readonly JobRow[], message: MessageRow): void {
    const now = this.options.now();
    for (const row of rows) {
      const lane = this.lane(row);
      if (lane.inHand.has(row.id)) continue;
      // Behind others of its lane that wait on disk, except what is urgent.
      const waits = lane.class !== 0 && lane.nextAt <= now;
      if (this.room(lane.class).full || lane.readyCount >= LANE_JOBS || waits) {
        lane.later(row.nextAt);
        this.check(lane);
      } else this.load(lane, row, message);
    }
  }

  private load(lane: Lane, row: JobRow, message: MessageRow): void {
    const known = this.messages.get(message.id);
    if (known) known.jobs++;
    else this.messages.set(message.id, { row: message, jobs: 1 });
    const room = this.room(lane.class);
    room.jobs++;
    room.recipients += row.count;
    lane.push(new Job(row, known?.row ?? message));
    this.enterRing(lane);
  }

  private enterRing(lane: Lane): void {
    if (lane.inRing) return;
    lane.inRing = true;
    this.rings[lane.channel][lane.class].push(lane);
  }

  /** The job's mark is committed (or nothing ran): memory forgets it. */
  release(job: Job, nextAt: number | null): void {
    const lane = this.lane(job.row);
    if (nextAt !== null) lane.later(nextAt);
    lane.release(job.row.id);
    const room = this.room(lane.class);
    room.jobs--;
    room.recipients -= job.row.count;
    const message = this.messages.get(job.message.id);
    if (message && --message.jobs === 0) {
      this.messages.delete(job.message.id);
      this.idleMessage(job.message.id);
    }
    if (lane.empty) this.forget(lane);
    else this.check(lane);
  }

  private forget(lane: Lane): void {
    this.lanes.delete(`${lane.class}${lane.site}`);
    const site = this.sites.get(lane.site);
    if (!site || site.running > 0 || site.failures > 0) return;
    this.sites.delete(lane.site);
  }

  /**
   * The lane to start from next, undefined when nothing may start. `free` of `limit` slots are free.
   */
  next(channel: ChannelName, free: number, limit: number): Lane | undefined {
    const reserve = limit >= 5 ? Math.ceil(limit / 10) : 0;
    const first = TURNS[this.turn++ % TURNS.length] as MessageClass;
    for (const cls of [first, 0, 1, 2] as const) {
      if (cls === 2 && free <= reserve) continue;
      const ring = this.rings[channel][cls];
      for (let tried = ring.length; tried > 0; tried--) {
        const lane = ring.shift() as Lane;
        if (lane.readyCount === 0) {
          lane.inRing = false;
          continue;
        }
        ring.push(lane);
        const site = this.site(lane.site);
        // What is urgent may use the last slots even at a site that bulk mail fills.
        const spare = [0, Math.ceil(reserve / 2), reserve][cls] ?? 0;
        // A site that hangs holds its slots for many minutes: nobody gets most of them untried.
        const most = site.answers || limit < 5 ? limit - spare : Math.ceil(limit / 4);
        if (site.running >= most) continue;
        if (!this.blocked(lane, site)) return lane;
      }
    }
    return undefined;
  }

  private blocked(lane: Lane, site: Site): boolean {
    const now = this.options.now();
    if (site.blockedUntil <= now) return false;
    // The last attempt of what is too old is made anyway, so that a dead site does not keep it.
    const head = lane.peek();
    return !(head && isDying(head.message.born, now, this.options.lifetime()));
  }

  slotStarted(site: string): void {
    this.site(site).running++;
  }

  /** `connected`: whether the site answered; false blocks it for `blockSeconds(failures)`. */
  slotEnded(name: string, connected: boolean, blockSeconds: (failures: number) => number): void {
    const site = this.site(name);
    site.running--;
    site.answers = connected;
    if (connected) {
      site.failures = 0;
      site.blockedUntil = 0;
    } else {
      site.blockedUntil = this.options.now() + blockSeconds(site.failures++);
    }
  }

  /** ALRM: nothing is blocked; the caller makes the rows due. */
  unblock(): void {
    for (const site of this.sites.values()) site.blockedUntil = 0;
  }

  *laneNames(): Generator<Lane> {
    yield* this.lanes.values();
  }

  private takeHungry({ hungry }: Room, now: number): Lane[] {
    const due: Lane[] = [];
    for (const lane of hungry) {
      hungry.delete(lane);
      if (lane.nextAt > now) continue;
      const site = this.sites.get(lane.site);
      if (site && site.blockedUntil > now && lane.readyCount > 0) continue;
      due.push(lane);
      if (due.length >= PAGE_LANES / 2) break;
    }
    return due;
  }

  /**
   * Read what is due into memory. Resolves when the pages that were asked for are in; at most one
   * reading runs. `wake` is called when something was loaded.
   */
  async page(): Promise<void> {
    if (!this.wantsPage) return;
    const now = this.options.now();
    const due = this.rooms.flatMap((room) => (room.full ? [] : this.takeHungry(room, now)));
    if (due.length === 0) return;
    this.paging = true;
    for (const lane of due) lane.beginPage();
    try {
      const asked = due.map((lane) => ({
        site: lane.site,
        class: lane.class,
        limit: lane.inHand.size + PAGE_JOBS,
      }));
      const { pages, messages } = await this.options.store.claim(asked, now);
      const rows = new Map(messages.map((row) => [row.id, row]));
      pages.forEach((page, at) => {
        const lane = due[at] as Lane;
        for (const job of lane.endPage(page)) {
          const message = rows.get(job.message);
          if (message) this.load(lane, job, message);
        }
        if (lane.empty) this.forget(lane);
        else this.check(lane);
      });
    } catch {
      // The reader could not answer; the next tick asks again.
      for (const lane of due) lane.failPage();
      return;
    } finally {
      this.paging = false;
    }
    this.options.wake();
  }
}
