/** Whether fsyncs are quick enough to wait for in the thread that also serves everybody else. */

/** Average length of an fsync, in milliseconds, above which threads do them. */
const SLOW_MS = 3;

export class DiskPace {
  private averageMs = 0;

  get quick(): boolean {
    return this.averageMs < SLOW_MS;
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
