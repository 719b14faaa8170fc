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

it("bodies that are not forgotten stay for as long as half of the cache is younger", () => {
  const bodies = new Bodies(storeOf(), "/nonexistent");
  for (let id = 1; id <= 6000; id++) {
    bodies.keep(id, Buffer.alloc(BODY_BYTES));
    if (id > 1900) expect(bodies.cached(id - 1900)?.length).toBe(BODY_BYTES);
  }
});

it("a body that is forgotten is gone, however long ago it came", () => {
  const bodies = new Bodies(storeOf(), "/nonexistent");
  for (let id = 1; id <= 3000; id++) bodies.keep(id, Buffer.alloc(BODY_BYTES));
  for (let id = 1; id <= 3000; id++) {
    bodies.forget(id);
    expect(bodies.cached(id)).toBeUndefined();
  }
});

it("what is forgotten makes room: mail that is delivered quickly pushes nobody out", () => {
  const bodies = new Bodies(storeOf(), "/nonexistent");
  bodies.keep(1, Buffer.alloc(BODY_BYTES));
  for (let id = 2; id <= 20_000; id++) {
    bodies.keep(id, Buffer.alloc(BODY_BYTES));
    if (id > 900) bodies.forget(id - 898);
  }
  expect(bodies.cached(1)?.length).toBe(BODY_BYTES);
  expect(bodies.hasRoom).toBe(true);
});
