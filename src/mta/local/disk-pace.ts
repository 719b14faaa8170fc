/** Whether fsyncs are quick enough to wait for in the thread that also serves everybody else. */

/** Average length of an fsync, in milliseconds, above which threads do them. */
const SLOW_MS = 3;
/** How long the thread may wait at a time, in milliseconds. */
const PATIENCE_MS = 10;
/** More than this many overlap in threads to better effect, however quick each is. */
const MOST_FSYNCS = 24;

export class DiskPace {
  /** Of one fsync. */
  private averageMs = 0;

  /** Whether so many one after the other are. */
  isQuick(fsyncs: number): boolean {
    const { averageMs } = this;
    return averageMs < SLOW_MS && fsyncs <= MOST_FSYNCS && fsyncs * averageMs < PATIENCE_MS;
  }

  /** Run `sync` and remember how long it took. */
  measure<T>(sync: () => T): T {
    const began = performance.now();
    try {
      return sync();
    } finally {
      // One long wait of a busy machine counts little.
      this.averageMs += (performance.now() - began - this.averageMs) / 16;
    }
  }

  /** A turn that threads did: so that the disk is tried again some time. */
  rest(): void {
    this.averageMs *= 0.99;
  }
}
