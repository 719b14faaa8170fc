/**
 * Time limits of very many connections with one timer: whoever is watched has the moment it must be
 * done by in `deadline`, and moving that is a store. Looked at ten times a second, so a limit may be
 * met that much late.
 */

const TICK_MS = 100;

export interface Timed {
  /** As `Deadlines.now`; Infinity for no limit. */
  readonly deadline: number;
  /** Called at every look while the deadline is over. */
  expired(): void;
}

export class Deadlines {
  private readonly watched = new Set<Timed>();
  private timer: NodeJS.Timeout | undefined;

  /** Milliseconds on a clock that never jumps. */
  now(): number {
    return performance.now();
  }

  /** The timer keeps no process alive. */
  watch(one: Timed): void {
    this.watched.add(one);
    this.timer ??= setInterval(() => this.look(), TICK_MS).unref();
  }

  forget(one: Timed): void {
    this.watched.delete(one);
  }

  private look(): void {
    const now = this.now();
    for (const one of this.watched) if (one.deadline <= now) one.expired();
    if (this.watched.size > 0) return;
    clearInterval(this.timer);
    this.timer = undefined;
  }
}
