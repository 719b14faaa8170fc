/**
 * Keeps a trouble that lasts from filling the log: each text may be told once a minute. Texts are of our own
 * making and few; should they be many, the oldest are forgotten.
 */

const AGAIN_MS = 60_000;
const TEXTS = 1000;

export class Telltale {
  private readonly toldAt = new Map<string, number>();
  private readonly steadyMs: () => number;

  /** `steadyMs`: a clock that is never put back. */
  constructor(steadyMs: () => number = () => performance.now()) {
    this.steadyMs = steadyMs;
  }

  /** Whether this is to be told now. */
  isNew(text: string): boolean {
    const now = this.steadyMs();
    const last = this.toldAt.get(text);
    if (last !== undefined && now - last < AGAIN_MS) return false;
    this.toldAt.delete(text);
    this.toldAt.set(text, now);
    if (this.toldAt.size > TEXTS) {
      for (const oldest of this.toldAt.keys()) {
        this.toldAt.delete(oldest);
        break;
      }
    }
    return true;
  }
}
