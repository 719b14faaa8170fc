/**
 * Work that may be long, under a lock that others wait for: in turns, with the lock let go between them.
 * What is not done after some seconds of a delivery is left for the next message, which need not wait
 * either.
 */
import { setTimeout as delay } from "node:timers/promises";
import type { Host } from "../../lib/program.ts";
import type { List } from "./list.ts";

/** How long a turn lasts, about. */
const TURN_MS = 200;
/** Longer than other processes let pass between two looks at a lock (lib/lock.ts), or none would get it. */
const PAUSE_MS = 60;
const DELIVERY_MS = 10_000;

/**
 * Call `turn` under the lock until it answers true: all is done. It looks at `isOver` after each piece and
 * answers false then; what it knew may have changed at its next turn. False: time was up.
 */
export async function inTurns(
  host: Pick<Host, "deliveryKey">,
  list: Pick<List, "withLock">,
  lock: string,
  turn: (isOver: () => boolean) => Promise<boolean>,
): Promise<boolean> {
  const start = performance.now();
  for (;;) {
    const isDone = await list.withLock(lock, () => {
      const end = performance.now() + TURN_MS;
      return turn(() => performance.now() >= end);
    });
    if (isDone) return true;
    if (host.deliveryKey !== undefined && performance.now() - start >= DELIVERY_MS) return false;
    await delay(PAUSE_MS);
  }
}
