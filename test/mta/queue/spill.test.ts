/** What is kept of a message while it comes in, in memory and on disk. */
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { SpillBuffer } from "../../../src/mta/queue/spill.ts";

let dir: string;
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), "spill-"));
});
afterEach(() => rmSync(dir, { recursive: true, force: true }));

const piece = (): Buffer => Buffer.alloc(65_536, "x");
const options = { name: "1", limitBytes: 65_536, hashed: true };

test("add() holds nothing once the disk took no more, and finish() says what happened", async () => {
  const spill = new SpillBuffer({ ...options, dir: join(dir, "missing") });
  void spill.add(piece());
  const written = spill.add(piece());
  // These come while the first write is under way.
  for (let at = 0; at < 10; at++) void spill.add(piece());
  await written;
  expect(spill.failure?.message).toBe("unable to write to queue/mess");
  for (let at = 0; at < 1000; at++) await spill.add(piece());
  expect(spill.memoryBytes).toBe(0);
  expect(spill.sizeBytes).toBe(1012 * 65_536);
  await expect(spill.finish()).rejects.toThrow("unable to write to queue/mess");
});

test("add() beyond the limit writes all of it to the file, in order", async () => {
  const spill = new SpillBuffer({ ...options, dir });
  for (let at = 0; at < 5; at++) await spill.add(Buffer.alloc(40_000, String(at)));
  const { bytes, sizeBytes } = await spill.finish();
  expect({ bytes, sizeBytes }).toEqual({ bytes: null, sizeBytes: 200_000 });
  const text = readFileSync(join(dir, "1"), "latin1");
  expect(text.replace(/(.)\1*/g, "$1")).toBe("01234");
});
