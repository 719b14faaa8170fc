import { mkdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterEach, expect, test, vi } from "vitest";
import { namesIn } from "../../../src/ezmlm/list/quiet-directory.ts";
import { temporaryDirectory } from "../../support/ezmlm.ts";

afterEach(() => {
  vi.useRealTimers();
});

test("namesIn() sees what comes into a directory that was empty for long", () => {
  const path = join(temporaryDirectory(), "pending");
  mkdirSync(path);
  vi.useFakeTimers({ now: Date.now() + 60_000, toFake: ["Date"] });
  expect(namesIn(path)).toEqual([]);
  expect(namesIn(path)).toEqual([]);
  writeFileSync(join(path, "1.2"), "");
  expect(namesIn(path)).toEqual(["1.2"]);
  expect(namesIn(path)).toEqual(["1.2"]);
  rmSync(join(path, "1.2"));
  expect(namesIn(path)).toEqual([]);
});

test("namesIn() sees what comes within one tick of the clock", () => {
  const path = join(temporaryDirectory(), "pending");
  for (let round = 0; round < 200; round++) {
    mkdirSync(path);
    expect(namesIn(path)).toEqual([]);
    writeFileSync(join(path, "1.2"), "");
    expect(namesIn(path)).toEqual(["1.2"]);
    rmSync(path, { recursive: true });
    expect(namesIn(path)).toEqual([]);
  }
});

test("namesIn() does not take a file for an empty directory", () => {
  const path = join(temporaryDirectory(), "pending");
  writeFileSync(path, "");
  expect(() => namesIn(path)).toThrow("Unable to read");
});
