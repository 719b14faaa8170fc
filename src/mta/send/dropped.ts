/**
 * Mail that commands leave in queue/drop: taken in when somebody pulls the trigger, and now and then without it.
 * The keys of local deliveries that ended are forgotten here, since what their programs left must be seen first.
 */
import type { Socket } from "node:net";
import { join } from "node:path";
import { logSafe } from "../../lib/log.ts";
import { DropReader } from "../queue/drop-reader.ts";
import type { Failpoint } from "../queue/failpoint.ts";
import type { Intake } from "../queue/intake.ts";
import type { Queue } from "../queue/queue.ts";
import type { Events } from "./events.ts";
import { SettledKeys } from "./settled-keys.ts";
import { openTrigger } from "./trigger.ts";

/** A look when nobody pulls the trigger. */
const SCAN_MS = 25_000;
const SWEEP_MS = 3_600_000;

export interface DroppedOptions {
  readonly home: string;
  readonly queue: Queue;
  readonly intake: Intake;
  readonly failpoint: Failpoint;
  readonly events: Events;
  now(): Date;
  /** Of the Received line, who `uid` is. */
  phrase(uid: number): string;
  /** Nothing is taken in while the log stalls or qmail-send ends. */
  paused(): boolean;
}

export class Dropped {
  private readonly o: DroppedOptions;
  private readonly reader: DropReader;
  private readonly keys: SettledKeys;
  private trigger: Socket | undefined;
  private timers: NodeJS.Timeout[] = [];

  constructor(options: DroppedOptions) {
    const { home, queue, intake, failpoint, events, now, phrase } = options;
    this.o = options;
    this.reader = new DropReader({
      home,
      intake,
      failpoint,
      now,
      phrase,
      forgetKey: (key, uid) => queue.forgetKey(key, uid),
      removed: (name, uid, why) => events.badDrop(name, uid, why),
      trouble: (kind, name, error) =>
        events.trouble(`${kind} ${logSafe(name)}`.trimEnd(), error, kind),
    });
    this.keys = new SettledKeys({
      takeDropped: () => this.scan(),
      forget: (deliveries) => queue.forgetKeysOf(deliveries),
    });
  }

  begin(): void {
    const look = (): void => void this.scan();
    this.trigger = openTrigger(join(this.o.home, "queue", "lock", "trigger"), look, (text) =>
      this.o.events.warning(text),
    );
    const sweep = (): void => void this.reader.sweep();
    this.timers = [setInterval(look, SCAN_MS), setInterval(sweep, SWEEP_MS)];
    look();
    sweep();
  }

  /** Local deliveries whose end is durable. */
  settled(deliveries: readonly string[]): void {
    this.keys.add(deliveries);
  }

  /** Once a second or so. */
  tick(): void {
    void this.keys.forget();
  }

  /** Resolves when what was being taken in is durable. */
  stop(): Promise<void> {
    for (const timer of this.timers) clearInterval(timer);
    this.trigger?.destroy();
    return this.reader.stop();
  }

  /** False: something may be left. Never rejects. */
  private async scan(): Promise<boolean> {
    if (this.o.paused()) return false;
    try {
      return await this.reader.scan();
    } catch (error) {
      this.o.events.trouble("unable to opendir drop", error);
      return false;
    }
  }
}
