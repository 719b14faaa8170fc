/**
 * The part of the queue that is in memory. Order: class (weighted, never absolute), then site, then message
 * (turns.ts). Lanes page in from the store when they are due and their room has place. A blocked lane holds
 * nothing, and a lane whose site may hang little (room.ts): neither a big post nor dead sites keep other mail
 * out of memory.
 */
import type { QueueStore } from "../queue/queue.ts";
import type { JobRow, LaneName, MessageRow } from "../queue/work.ts";
import { Due } from "./due.ts";
import { Job } from "./job.ts";
import { Lane } from "./lane.ts";
import { Room } from "./room.ts";
import { type ChannelName, isDying, type Lifetime } from "./schedule.ts";
import { Site, type Standing } from "./site.ts";
import { Turns, type TurnsByChannel } from "./turns.ts";

/** Of ordinary mail to other hosts, and as much again of fan-out; answers, and local mail, have a quarter. */
const JOBS_IN_MEMORY = 20_000;
const RECIPIENTS_IN_MEMORY = 80_000;
/** Jobs of one lane read at once, lanes of one room read at once. */
const PAGE_JOBS = 16;
const PAGE_LANES = 32;
/** How long it is remembered how a site was, seconds; and when there are very many sites. */
const SITE_MEMORY = 3600;
const SHORT_SITE_MEMORY = 60;
const MANY_SITES = 20_000;

export interface WindowOptions {
  readonly store: QueueStore;
  /** Seconds. */
  now(): number;
  readonly lifetime: () => Lifetime;
  /** Slots of each channel. */
  readonly limits: Readonly<Record<ChannelName, number>>;
  /** Something became ready. */
  wake(): void;
  /** Why nothing could be read from the store. */
  trouble(error: unknown): void;
}

const largeRoom = (): Room => new Room(JOBS_IN_MEMORY, RECIPIENTS_IN_MEMORY);
const smallRoom = (): Room => new Room(JOBS_IN_MEMORY / 4, RECIPIENTS_IN_MEMORY / 4);

export class Window {
  private readonly options: WindowOptions;
  private readonly lanes = new Map<string, Lane>();
  private readonly sites = new Map<string, Site>();
  private remoteSites = 0;
  private readonly turns: TurnsByChannel;
  private readonly messages = new Map<number, { row: MessageRow; jobs: number }>();
  private readonly rooms: Readonly<Record<ChannelName, readonly [Room, Room, Room]>> = {
    local: [smallRoom(), smallRoom(), smallRoom()],
    remote: [smallRoom(), largeRoom(), largeRoom()],
  };
  private readonly due = new Due<Lane>();
  private readonly blocked = (lane: Lane): boolean => this.park(lane);
  private sweepAt = 0;
  private paging = false;
  /** Called when no job of a message is in memory any more. */
  idleMessage: (id: number) => void = () => {};

  constructor(options: WindowOptions) {
    this.options = options;
    const { local, remote } = options.limits;
    this.turns = {
      local: new Turns(local),
      remote: new Turns(remote, () => this.remoteSites > 1),
    };
  }

  private lane(name: LaneName): Lane {
    const key = `${name.class}${name.site}`;
    let lane = this.lanes.get(key);
    if (!lane) {
      const site = this.site(name.site);
      lane = new Lane(site, name.class);
      site.lanes = [...site.lanes, lane];
      this.lanes.set(key, lane);
    }
    return lane;
  }

  private site(name: string): Site {
    let site = this.sites.get(name);
    if (!site) {
      site = new Site(name, this.options.now());
      this.sites.set(name, site);
      if (site.channel === "remote") this.remoteSites++;
    }
    return site;
  }

  private room(lane: Lane): Room {
    return this.rooms[lane.channel][lane.class];
  }

  private *allRooms(): Generator<Room> {
    yield* this.rooms.local;
    yield* this.rooms.remote;
  }

  // ---- what comes in ------------------------------------------------------------------------

  /** The store holds jobs of this lane, the earliest due at `nextAt`. */
  addLane(name: LaneName, nextAt: number): void {
    const lane = this.lane(name);
    lane.later(nextAt);
    this.check(lane);
  }

  /** Ask for a page when the lane needs one, now or when its time has come. */
  check(lane: Lane): void {
    const { place } = lane;
    const now = this.options.now();
    const at = lane.dying ? lane.nextAt : Math.max(lane.nextAt, place.blockedUntil);
    if (at > now) {
      if (at < Number.POSITIVE_INFINITY) this.due.add(lane, at);
      return;
    }
    const room = this.room(lane);
    if (lane.readyCount > Math.min(PAGE_JOBS, room.mostOf(lane)) / 2) return;
    // Nothing of it could start; it asks when a slot of its site ends.
    if (place.standing !== "good" && this.turns[lane.channel].isFull(lane)) return;
    room.ask(lane);
  }

  /** Once a second or so: lanes whose time has come. */
  tick(): void {
    const now = this.options.now();
    for (const lane of this.due.take(now)) this.check(lane);
    if (now < this.sweepAt && this.sweepAt < now + 120) return;
    this.sweepAt = now + 60;
    const longAgo = now - (this.sites.size > MANY_SITES ? SHORT_SITE_MEMORY : SITE_MEMORY);
    for (const [name, site] of this.sites) {
      if (site.running === 0 && site.lanes.length === 0 && site.usedAt < longAgo) {
        this.sites.delete(name);
        if (site.channel === "remote") this.remoteSites--;
      }
    }
  }

  get wantsPage(): boolean {
    if (this.paging) return false;
    for (const room of this.allRooms()) if (room.wantsPage) return true;
    return false;
  }

  /** Jobs that were just made, all due. What does not fit is paged in later. */
  addNew(rows: readonly JobRow[], message: MessageRow): void {
    const now = this.options.now();
    for (const row of rows) {
      const lane = this.lane(row);
      if (lane.inHand.has(row.id)) continue;
      if (this.fits(lane, now)) this.load(lane, row, message);
      else {
        lane.later(row.nextAt);
        this.check(lane);
      }
    }
  }

  /** Whether jobs of the message are in memory. */
  has(message: number): boolean {
    return this.messages.has(message);
  }

  private fits(lane: Lane, now: number): boolean {
    const room = this.room(lane);
    if (room.full || lane.place.blockedUntil > now) return false;
    // Behind others of its lane that wait on disk, except what is urgent.
    if (lane.class !== 0 && lane.nextAt <= now) return false;
    return lane.readyCount < room.mostOf(lane);
  }

  private load(lane: Lane, row: JobRow, message: MessageRow): void {
    const known = this.messages.get(message.id);
    if (known) known.jobs++;
    else this.messages.set(message.id, { row: message, jobs: 1 });
    const room = this.room(lane);
    room.jobs++;
    room.recipients += row.count;
    if (lane.place.standing !== "good") room.doubtful++;
    this.ready(lane, new Job(row, known?.row ?? message));
  }

  private ready(lane: Lane, job: Job): void {
    lane.push(job);
    if (!this.turns[lane.channel].isFull(lane)) this.turns[lane.channel].enter(lane);
  }

  /** A job that was taken from its lane and not begun is to be started after all. */
  again(job: Job): void {
    this.ready(this.lane(job.row), job);
  }

  // ---- what leaves --------------------------------------------------------------------------

  /** The job's mark is committed (or nothing ran): memory forgets it. */
  release(job: Job, nextAt: number | null): void {
    const lane = this.lane(job.row);
    if (nextAt !== null) lane.later(nextAt);
    lane.release(job.row.id);
    this.leave(lane, job);
    if (lane.empty) this.forget(lane);
    else this.check(lane);
  }

  private leave(lane: Lane, job: Job): void {
    const room = this.room(lane);
    room.jobs--;
    room.recipients -= job.row.count;
    if (lane.place.standing !== "good") room.doubtful--;
    const message = this.messages.get(job.message.id);
    if (message && --message.jobs === 0) {
      this.messages.delete(job.message.id);
      this.idleMessage(job.message.id);
    }
  }

  /** What waits goes back to disk, but for the first few. */
  private giveBack(lane: Lane, keep: number): void {
    for (const job of lane.giveBack(keep)) this.leave(lane, job);
    if (lane.readyCount === 0) this.turns[lane.channel].leave(lane);
    this.check(lane);
  }

  private forget(lane: Lane): void {
    this.lanes.delete(`${lane.class}${lane.site}`);
    this.turns[lane.channel].leave(lane);
    this.room(lane).withdraw(lane);
    lane.place.lanes = lane.place.lanes.filter((other) => other !== lane);
  }

  /** Whether the site is blocked; then what waits for it goes back to disk. */
  private park(lane: Lane): boolean {
    const now = this.options.now();
    lane.dying = false;
    if (lane.place.blockedUntil <= now) return false;
    // The last attempt of what is too old is made anyway, so that a dead site does not keep it.
    const head = lane.peek();
    if (head && isDying(head.message.born, now, this.options.lifetime())) {
      lane.dying = true;
      return false;
    }
    this.giveBack(lane, 0);
    return true;
  }

  // ---- slots --------------------------------------------------------------------------------

  /** The lane to start from next, undefined when nothing may start. `free` slots are free. */
  next(channel: ChannelName, free: number): Lane | undefined {
    return this.turns[channel].next(free, this.blocked);
  }

  slotStarted(site: Site): void {
    this.turns[site.channel].hold(site, 1);
  }

  /** A delivery at the site has heard nothing for long. */
  silent(site: Site): void {
    this.restand(site, "slow");
  }

  /** A delivery at the site has an answer, and did not wait long for it. */
  answered(site: Site): void {
    this.restand(site, "good");
  }

  /** How long deliveries take there. */
  paced(site: Site, secondsEach: number): void {
    const wasQuick = site.isQuick;
    site.paced(secondsEach);
    if (wasQuick || !site.isQuick) return;
    for (const lane of site.lanes) if (lane.readyCount > 0) this.turns[lane.channel].enter(lane);
  }

  private restand(site: Site, standing: Standing): void {
    if (site.standing === standing) return;
    const change = Number(site.standing === "good") - Number(standing === "good");
    for (const lane of site.lanes) this.room(lane).doubtful += change * lane.inHand.size;
    this.turns[site.channel].restand(site, standing);
    for (const lane of site.lanes) {
      if (this.room(lane).asks(lane)) this.room(lane).ask(lane);
      if (standing === "slow") this.giveBack(lane, PAGE_JOBS);
      else if (lane.readyCount > 0) this.turns[lane.channel].enter(lane);
    }
  }

  /**
   * `connected`: whether the site answered; false blocks it for `blockSeconds(failures)`, undefined says
   * nothing about it.
   */
  slotEnded(
    site: Site,
    connected: boolean | undefined,
    blockSeconds: (failures: number) => number,
  ): void {
    const now = this.options.now();
    this.turns[site.channel].hold(site, -1);
    site.usedAt = now;
    if (connected) {
      site.failures = 0;
      site.blockedUntil = 0;
    } else if (connected === false) {
      site.blockedUntil = now + blockSeconds(site.failures++);
      if (site.standing === "good") this.restand(site, "untested");
    }
    for (const lane of site.lanes) {
      if (lane.readyCount > 0 && !this.park(lane)) this.turns[lane.channel].enter(lane);
      this.check(lane);
    }
  }

  /** ALRM: nothing is blocked; the caller makes the rows due. */
  unblock(): void {
    for (const site of this.sites.values()) site.blockedUntil = 0;
    for (const lane of this.lanes.values()) this.check(lane);
  }

  *laneNames(): Generator<Lane> {
    yield* this.lanes.values();
  }

  // ---- paging -------------------------------------------------------------------------------

  /**
   * Read what is due into memory. Resolves when the pages that were asked for are in; at most one
   * reading runs. `wake` is called when something was loaded.
   */
  async page(): Promise<void> {
    const now = this.options.now();
    let due: Lane[] = [];
    // Those that were blocked since they asked must not keep the turn of the others behind them.
    while (due.length === 0 && this.wantsPage) {
      due = [...this.allRooms()]
        .flatMap((room) => [...room.take(PAGE_LANES)])
        .filter((lane) => this.mayPage(lane, now));
    }
    if (due.length === 0) return;
    this.paging = true;
    for (const lane of due) lane.beginPage();
    try {
      const asked = due.map((lane) => ({
        site: lane.site,
        class: lane.class,
        limit: lane.inHand.size + Math.min(PAGE_JOBS, this.room(lane).mostOf(lane)),
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
    } catch (error) {
      // The next tick asks again.
      this.options.trouble(error);
      for (const lane of due) {
        lane.failPage();
        this.due.add(lane, now + 1);
      }
      return;
    } finally {
      this.paging = false;
    }
    this.options.wake();
  }

  /** Much may have happened since it asked. */
  private mayPage(lane: Lane, now: number): boolean {
    if (lane.nextAt > now || (lane.place.blockedUntil > now && !lane.dying)) {
      this.check(lane);
      return false;
    }
    return true;
  }
}
