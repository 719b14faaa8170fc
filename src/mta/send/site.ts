/**
 * A site as deliveries have found it: a remote domain or relay, or the local addresses of one user or list.
 * Its standing decides how many slots and how much memory may be risked on it (turns.ts, window.ts).
 */
import type { Lane } from "./lane.ts";
import { type ChannelName, channelOf } from "./schedule.ts";

/**
 * good: answered within the last hours and not silent since. untested: nothing is known, or only that it
 * refused at once. slow: a delivery there heard nothing for a while; it may hold its slot for many minutes.
 */
export type Standing = "good" | "untested" | "slow";

/** A delivery that takes less is quick, seconds. */
const QUICK_SECONDS = 0.05;

export class Site {
  readonly name: string;
  readonly channel: ChannelName;
  /** One per class, those with jobs in memory or on disk. */
  lanes: readonly Lane[] = [];
  standing: Standing = "untested";
  /** Slots. */
  running = 0;
  /** Connections that failed in a row. */
  failures = 0;
  blockedUntil = 0;
  /** Seconds; when a delivery last ended there. */
  usedAt: number;

  /** What a delivery takes there, seconds, as the last ones did; undefined until one is known. */
  private pace: number | undefined;

  constructor(name: string, now: number) {
    this.name = name;
    this.channel = channelOf(name);
    this.usedAt = now;
  }

  /** Whether its slots are soon free again. A site that answers may still take long for each answer. */
  get isQuick(): boolean {
    return this.pace !== undefined && this.pace < QUICK_SECONDS;
  }

  paced(secondsEach: number): void {
    this.pace = this.pace === undefined ? secondsEach : (this.pace + secondsEach) / 2;
  }
}
