/**
 * Submission keys of local deliveries that are settled, until no mail with them can come any more. What a program
 * handed in through queue/drop may still lie there; a look that begins after the delivery sees it. Those that are
 * lost with the process go with the sweep.
 */

/** In one operation of the queue. */
const BATCH = 500;
/** Calls left out after a look that could not take everything: each reads what is left once more. */
const REST = 30;
/** Where nothing can be forgotten for long, only so many are remembered. */
const MOST = 100_000;

export interface SettledKeysOptions {
  /** Take what is in queue/drop; false: something may be left. */
  takeDropped(): Promise<boolean>;
  forget(deliveries: readonly string[]): Promise<unknown>;
}

export class SettledKeys {
  private readonly o: SettledKeysOptions;
  private keys: string[] = [];
  private running = false;
  private rest = 0;

  constructor(options: SettledKeysOptions) {
    this.o = options;
  }

  /** Deliveries whose end is durable. */
  add(deliveries: readonly string[]): void {
    if (this.keys.length >= MOST) return;
    for (const delivery of deliveries) this.keys.push(delivery);
  }

  /** Once a second or so. Never rejects. */
  async forget(): Promise<void> {
    if (this.running || this.keys.length === 0 || this.rest-- > 0) return;
    this.running = true;
    const { keys } = this;
    this.keys = [];
    try {
      const isTaken = await this.o.takeDropped();
      this.rest = isTaken ? 0 : REST;
      for (; isTaken && keys.length > 0; keys.splice(0, BATCH)) {
        await this.o.forget(keys.slice(0, BATCH));
      }
    } catch {
      // The queue cannot be written just now.
    }
    this.add(keys);
    this.running = false;
  }
}
