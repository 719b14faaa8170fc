import { expect, it } from "vitest";
import type { ReadRequest, ReadResults } from "../../../src/mta/queue/work.ts";
import { Bodies } from "../../../src/mta/send/bodies.ts";

const BODY_BYTES = 8192;

/** A store that has every body, and notes which were read. */
function storeOf() {
  const asked: number[] = [];
  const read = async (request: ReadRequest): Promise<ReadResults["body"]> => {
    if (request.kind !== "body") throw new Error(`unexpected ${request.kind}`);
    asked.push(request.message);
    return Buffer.alloc(BODY_BYTES, request.message);
  };
  return { asked, read } as { asked: number[]; read: never };
}

it("bodies in memory are bounded: the oldest leave and are read from the queue again", async () => {
  const store = storeOf();
  const bodies = new Bodies(store, "/nonexistent");
  const many = (40 << 20) / BODY_BYTES;
  for (let id = 1; id <= many; id++) bodies.keep(id, Buffer.alloc(BODY_BYTES, id));
  let held = 0;
  for (let id = 1; id <= many; id++) held += bodies.cached(id)?.length ?? 0;
  expect(held).toBeLessThanOrEqual(32 << 20);
  expect(bodies.cached(many)).toEqual(Buffer.alloc(BODY_BYTES, many));
  expect(bodies.cached(1)).toBeUndefined();
  expect(await bodies.small(1)).toEqual(Buffer.alloc(BODY_BYTES, 1));
  expect(store.asked).toEqual([1]);
});

it("a body that is forgotten is gone and makes room, however long ago it came", () => {
  const bodies = new Bodies(storeOf(), "/nonexistent");
  const rounds = (200 << 20) / BODY_BYTES;
  for (let id = 1; id <= rounds; id++) {
    bodies.keep(id, Buffer.alloc(BODY_BYTES));
    // As a busy server: a thousand are under way at any time.
    if (id > 1000) bodies.forget(id - 1000);
  }
  expect(bodies.cached(rounds - 1000)).toBeUndefined();
  for (let id = rounds - 999; id <= rounds; id++)
    expect(bodies.cached(id)?.length).toBe(BODY_BYTES);
});
