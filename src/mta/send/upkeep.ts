/** Housekeeping of the queue while it runs: checkpoints, ballast, spills and keys nobody needs. */
import { statfsSync } from "node:fs";
import { join } from "node:path";
import { dropBallast, keepBallast } from "../queue/ballast.ts";
import type { Queue } from "../queue/queue.ts";
import { sweepSpills } from "../queue/sweep.ts";
import type { Events } from "./events.ts";

/**
 * WAL pages (4 KiB) from which a checkpoint starts the file anew: beside a writer that never rests it only
 * grows. Its blocks are kept: writing over them is a quarter cheaper than making them again.
 */
const LARGE_WAL = 16_384;

export interface UpkeepOptions {
  readonly home: string;
  readonly queue: Queue;
  readonly events: Events;
  /** Ids whose spills must not be swept. */
  readonly receiving: ReadonlySet<number>;
  /** Seconds; submission keys older than this belong to deliveries that are settled. */
  oldestKey(): number;
}

export class Upkeep {
  private readonly o: UpkeepOptions;

  constructor(options: UpkeepOptions) {
    this.o = options;
  }

  private path(name: string): string {
    return join(this.o.home, "queue", name);
  }

  /** Before serving: what a crash left. */
  async begin(): Promise<void> {
    await sweepSpills(this.path("mess"), this.o.queue, this.o.receiving);
    this.keepBallast();
  }

  /** Once a second or so. */
  async checkpoint(): Promise<void> {
    const { queue } = this.o;
    try {
      const { walPages } = await queue.read({ kind: "checkpoint", restart: false });
      if (walPages > LARGE_WAL) await queue.read({ kind: "checkpoint", restart: true });
    } catch (error) {
      this.o.events.trouble("trouble shortening queue.db-wal", error);
    }
  }

  /** A mark did not fit on the disk. */
  makeRoom(): void {
    try {
      dropBallast(this.path("ballast"));
    } catch (error) {
      this.o.events.trouble("unable to remove queue/ballast", error);
    }
  }

  private keepBallast(): void {
    const { bavail, bsize } = statfsSync(join(this.o.home, "queue"));
    keepBallast(this.path("ballast"), bavail * bsize);
  }

  /** Once an hour or so. */
  async sweep(): Promise<void> {
    try {
      await this.begin();
      await this.o.queue.sweepKeys(this.o.oldestKey());
    } catch (error) {
      this.o.events.trouble("trouble sweeping the queue", error);
    }
  }
}
