/** When a message is tried again and when it is given up. Seconds everywhere. qmail reference 1.6. */

const SKIP = { local: 10, remote: 20 } as const;

export type ChannelName = "local" | "remote";

export function channelOf(site: string): ChannelName {
  return site.startsWith("L") ? "local" : "remote";
}

/**
 * Quadratic: `birth + (isqrt(now - birth) + skip)²`, computed when the pass starts. What a clock that was ahead
 * says is not born yet is as if it were born now.
 */
export function nextTry(born: number, now: number, channel: ChannelName): number {
  const age = Math.max(0, now - born);
  const step = Math.min(65535, Math.floor(Math.sqrt(age))) + SKIP[channel];
  return now - age + step * step;
}

export interface Lifetime {
  readonly queuelifetime: number;
  /** No message expires before this: just after a start or a clock jump the age proves nothing. */
  readonly notBefore: number;
}

/** Whether a failed attempt started now is the last one. */
export function isDying(born: number, now: number, lifetime: Lifetime): boolean {
  return now > born + lifetime.queuelifetime && now >= lifetime.notBefore;
}

/** A job that was out at so many crashes is a suspect: one is out at a time, in a slot of its own. */
export const SUSPECT = 2;
/** From so many on it is not tried for ever: what is too old is given up without its last attempt. */
export const CONVICTED = 3;

const LONGEST_REST = 21_600;

/** How long a job rests that was out at its `crashes`-th crash: the first may have been anybody's. */
export function crashBackoff(crashes: number): number {
  return crashes < 2 ? 0 : Math.min(LONGEST_REST, 60 * 2 ** (crashes - 2));
}

/**
 * The longest step of mail within its lifetime, and no rest is longer: what is to be tried later than this was put
 * there by a clock that was wrong.
 */
export function latestTry(now: number, queuelifetime: number): number {
  const root = Math.floor(Math.sqrt(queuelifetime));
  const step = (root + SKIP.remote) ** 2 - root ** 2;
  return now + Math.max(step, LONGEST_REST);
}

/** How long nothing goes to a site whose connections failed `failures` times in a row. */
export function siteBlockSeconds(failures: number): number {
  return Math.min(600, 15 * 2 ** Math.min(failures, 10));
}
