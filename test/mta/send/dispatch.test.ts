/** A peer that takes no more is waited for, and that costs the same however long it takes. */
import { setImmediate as turn } from "node:timers/promises";
import { expect, test } from "vitest";
import { Dispatch, type DispatchOptions } from "../../../src/mta/send/dispatch.ts";
import type { Peer } from "../../../src/mta/send/slot.ts";

test("Dispatch waits once for a peer that is full, and looks for work when it is not", async () => {
  let waits = 0;
  let asked = 0;
  let room = (): void => {};
  const peer = {
    backlogBytes: 8 << 20,
    closed: false,
    drained: () => {
      waits++;
      return new Promise<void>((resolve) => {
        room = resolve;
      });
    },
  };
  const window = {
    wantsPage: false,
    next: () => {
      asked++;
      return undefined;
    },
  };
  const dispatch = new Dispatch({
    window,
    events: { status: () => {} },
    out: { flush: () => {} },
    concurrency: { local: 10, remote: 20 },
    logStalled: () => false,
  } as unknown as DispatchOptions);
  const turns = async (): Promise<void> => {
    for (let at = 0; at < 100; at++) {
      dispatch.wake();
      await turn();
    }
  };
  dispatch.attach("remote", peer as unknown as Peer);
  await turns();
  expect({ waits, asked }).toEqual({ waits: 1, asked: 0 });
  peer.backlogBytes = 0;
  room();
  await turns();
  expect(asked).toBeGreaterThan(0);
  peer.backlogBytes = 8 << 20;
  await turns();
  expect(waits).toBe(2);
});
