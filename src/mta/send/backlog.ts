/**
 * What waits in the database as a whole: at start every lane is told to the window with its earliest
 * time, ALRM makes all of it due, in slices the writer can take between other work.
 */
import { errorText } from "../../lib/errors.ts";
import type { Queue } from "../queue/queue.ts";
import type { LaneName } from "../queue/work.ts";
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

  /** What the last run left. Only a clock that was wrong puts a job later than `latest`, seconds. */
  async load(latest: number): Promise<void> {
    const { queue, window } = this.o;
    for (let after: LaneName | null = null; ; ) {
      const page: readonly (LaneName & { nextAt: number })[] = await queue.read({
        kind: "lanes",
        after,
        limit: PAGE_LANES,
      });
      for (const lane of page) {
        if (lane.nextAt > latest) void this.makeDue(lane);
        else window.addLane(lane, lane.nextAt);
      }
      if (page.length < PAGE_LANES) return;
      after = page.at(-1) ?? null;
    }
  }

  /** Everything that waits is due now. */
  async flush(): Promise<void> {
    this.o.window.unblock();
    for (const lane of [...this.o.window.laneNames()]) await this.makeDue(lane);
    this.o.wake();
  }

  private async makeDue(lane: LaneName): Promise<void> {
    const name = { site: lane.site, class: lane.class };
    const now = this.o.now();
    try {
      for (let changed = FLUSH_SLICE; changed === FLUSH_SLICE; ) {
        changed = await this.o.queue.makeDue(name, now, FLUSH_SLICE);
        if (changed > 0) this.o.window.addLane(name, now);
        this.o.wake();
      }
    } catch (error) {
      this.o.events.warning(`trouble making deliveries due: ${errorText(error)}`);
    }
  }
}
