/** Memory for the mail of one class and channel: what is in it, and which lanes ask to come in. */
import type { Lane } from "./lane.ts";

/** Jobs of a lane that may wait in memory; of one whose site may hang, the fewer the more such there are. */
const LANE_JOBS = 1000;
const DOUBTFUL_LANE_JOBS = [64, 16, 4, 4] as const;

export class Room {
  private readonly mostJobs: number;
  private readonly mostRecipients: number;
  jobs = 0;
  recipients = 0;
  /** Jobs for sites that are not known to be good: they may wait long. */
  doubtful = 0;
  /** Lanes with due jobs on disk and few in memory, in the order they asked. */
  private readonly good = new Set<Lane>();
  private readonly others = new Set<Lane>();

  constructor(mostJobs: number, mostRecipients: number) {
    this.mostJobs = mostJobs;
    this.mostRecipients = mostRecipients;
  }

  get full(): boolean {
    return this.jobs >= this.mostJobs || this.recipients >= this.mostRecipients;
  }

  /** Jobs of the lane that may be in memory, waiting for a slot. */
  mostOf(lane: Lane): number {
    if (lane.place.standing === "good") return LANE_JOBS;
    // Half of the room; beyond it everybody has one.
    return DOUBTFUL_LANE_JOBS[Math.floor((this.doubtful * 8) / this.mostJobs)] ?? 1;
  }

  get wantsPage(): boolean {
    return !this.full && this.good.size + this.others.size > 0;
  }

  /** Stands once, where its site belongs now. */
  ask(lane: Lane): void {
    const isGood = lane.place.standing === "good";
    (isGood ? this.others : this.good).delete(lane);
    (isGood ? this.good : this.others).add(lane);
  }

  asks(lane: Lane): boolean {
    return this.good.has(lane) || this.others.has(lane);
  }

  withdraw(lane: Lane): void {
    this.good.delete(lane);
    this.others.delete(lane);
  }

  /** Up to `most` lanes whose turn it is to come in; they ask no more. */
  *take(most: number): Generator<Lane> {
    if (this.full) return;
    // Neither many known nor many unknown keep the others waiting.
    const ofGood = Math.max(Math.ceil(most / 2), most - this.others.size);
    let left = most;
    for (const lanes of [this.good, this.others]) {
      const share = lanes === this.good ? ofGood : left;
      let taken = 0;
      for (const lane of lanes) {
        if (taken >= share) break;
        lanes.delete(lane);
        taken++;
        yield lane;
      }
      left -= taken;
    }
  }
}
