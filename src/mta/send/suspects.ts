/**
 * Mail that was out at more than one crash goes one at a time, so that the next crash says which it was.
 * Who has to wait is kept here, not begun, until no other one is out.
 */
import type { Job } from "./job.ts";
import { SUSPECT } from "./schedule.ts";
import type { Slots } from "./slot.ts";

/** Seconds in which a suspect that kills shows it. One that has been out for longer hangs, which is another matter. */
const ALONE = 120;
/** More than this wait on disk. */
const MOST = 500;

export function isSuspect(job: Job): boolean {
  return job.row.crashes >= SUSPECT;
}

export class Suspects {
  private readonly channels: readonly Slots[];
  private readonly waiting: Job[] = [];

  constructor(channels: readonly Slots[]) {
    this.channels = channels;
  }

  get areWaiting(): boolean {
    return this.waiting.length > 0;
  }

  /** Whether one is out that may still show what it does. */
  get isOneOut(): boolean {
    return this.channels.some(({ slots }) =>
      slots.some((slot) => slot.ageSeconds < ALONE && slot.jobs.some(isSuspect)),
    );
  }

  /** False: too many wait already. */
  keep(job: Job): boolean {
    if (this.waiting.length >= MOST) return false;
    this.waiting.push(job);
    return true;
  }

  /** The one that may go now. */
  next(): Job | undefined {
    return this.waiting.length === 0 || this.isOneOut ? undefined : this.waiting.shift();
  }
}
