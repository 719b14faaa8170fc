/** What becomes due at a second: things by time, taken when it has come. Costs nothing while waiting. */
export class Due<T> {
  private readonly bySecond = new Map<number, Set<T>>();
  private lastTaken = 0;

  /** The same thing may stand at several times; its owner checks when it comes. */
  add(thing: T, at: number): void {
    const things = this.bySecond.get(at);
    if (things) things.add(thing);
    else this.bySecond.set(at, new Set([thing]));
  }

  /** Everything due by `now`; each leaves. Asked again within the second, nothing that was added late is missed. */
  *take(now: number): Generator<T> {
    const seconds = now - this.lastTaken;
    // Second by second, unless the clock jumped or there are fewer entries than seconds.
    const times =
      seconds >= 0 && seconds <= this.bySecond.size
        ? Array.from({ length: seconds + 1 }, (_, past) => this.lastTaken + past)
        : [...this.bySecond.keys()].filter((at) => at <= now);
    this.lastTaken = now;
    for (const at of times) {
      const things = this.bySecond.get(at);
      if (!things) continue;
      this.bySecond.delete(at);
      yield* things;
    }
  }
}
