/**
 * After a start, or when the clock jumped, no message is given up for a while: what looks too old may
 * have been tried only once, or the clock may be wrong. A machine that slept is seen as a jump, too.
 */

/** A difference between wall clock and steady clock that no tick explains. */
const JUMP_MS = 30_000;

export class ExpiryGrace {
  private readonly seconds: number;
  private last = { wall: 0, steady: 0 };
  /** Seconds since 1970; no message expires before. */
  notBefore = 0;

  constructor(seconds: number) {
    this.seconds = seconds;
  }

  begin(): void {
    const wall = Date.now();
    this.last = { wall, steady: performance.now() };
    this.notBefore = Math.floor(wall / 1000) + this.seconds;
  }

  /** Every second or so: look at the clocks. Whether that of the wall jumped. */
  tick(): boolean {
    const { wall, steady } = this.last;
    this.last = { wall: Date.now(), steady: performance.now() };
    const jump = this.last.wall - wall - (this.last.steady - steady);
    if (Math.abs(jump) <= JUMP_MS) return false;
    this.begin();
    return true;
  }
}
