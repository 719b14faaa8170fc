/**
 * What waits in the database as a whole: at start every lane is told to the window with its earliest
 * time, ALRM makes all of it due, in slices the writer can take between other work. What a clock that was
 * wrong has put years away becomes due, too: at start, when the clock jumped, and now and then.
 */
import type { Queue } from "../queue/queue.ts";
import type { LaneName, LaneTimes } from "../queue/work.ts";
import type { Events } from "./events.ts";
import type { Window } from "./window.ts";

const PAGE_LANES = 1000;
const FLUSH_SLICE = 1000;

export interface BacklogOptions {
  readonly queue: Pick<Queue, "read" | "makeDue">;
  readonly window: Window;
  readonly events: Events;
  /** Seconds. */
  now(): number;
  /** Something became due. */
  wake(): void;
}

export class Backlog {
  private readonly o: BacklogOptions;

  constructor(options: BacklogOptions) {
    this.o = options;
  }

  /** What the last run left; what is later than `latest` (seconds) becomes due after that. */
  async load(latest: number): Promise<void> {
    const late: LaneName[] = [];
    await this.eachLane((lane) => {
      this.o.window.addLane(lane, lane.nextAt);
      if (lane.lastAt > latest) late.push(lane);
    });
    void this.makeAllDue(late, latest);
  }

  /** What is to be tried later than `latest` (seconds) is due now: only a wrong clock has put it there. Never rejects. */
  async mend(latest: number): Promise<void> {
    const late: LaneName[] = [];
    try {
      await this.eachLane((lane) => {
        if (lane.lastAt > latest) late.push(lane);
      });
    } catch (error) {
      this.o.events.trouble("trouble looking for deliveries put off too long", error);
    }
    await this.makeAllDue(late, latest);
  }

  private async eachLane(take: (lane: LaneTimes) => void): Promise<void> {
    for (let after: LaneName | null = null; ; ) {
      const page: readonly LaneTimes[] = await this.o.queue.read({
        kind: "lanes",
        after,
        limit: PAGE_LANES,
      });
      for (const lane of page) take(lane);
      if (page.length < PAGE_LANES) return;
      after = page.at(-1) ?? null;
    }
  }

  /** Everything that waits is due now. */
  async flush(): Promise<void> {
    this.o.window.unblock();
    await this.makeAllDue([...this.o.window.laneNames()], this.o.now());
    this.o.wake();
  }

  private async makeAllDue(lanes: readonly LaneName[], after: number): Promise<void> {
    for (const lane of lanes) await this.makeDue(lane, after);
  }

  /** Jobs of the lane later than `after`. */
  private async makeDue(lane: LaneName, after: number): Promise<void> {
    const name = { site: lane.site, class: lane.class };
    const now = this.o.now();
    try {
      for (let changed = FLUSH_SLICE; changed === FLUSH_SLICE; ) {
        changed = await this.o.queue.makeDue(name, after, now, FLUSH_SLICE);
        if (changed > 0) this.o.window.addLane(name, now);
        this.o.wake();
      }
    } catch (error) {
      this.o.events.trouble("trouble making deliveries due", error);
    }
  }
}
