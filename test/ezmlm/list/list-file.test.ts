import { mkdirSync, renameSync, rmSync, utimesSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterEach, describe, expect, test, vi } from "vitest";
import { readListFile } from "../../../src/ezmlm/list/list-file.ts";
import { temporaryDirectory } from "../../support/ezmlm.ts";

afterEach(() => {
  vi.useRealTimers();
});

const read = (path: string): string | undefined => readListFile(path)?.toString();

/** A file that was last changed long ago, as seen by a process that read it. */
function settledFile(text: string): string {
  const path = join(temporaryDirectory(), "prefix");
  writeFileSync(path, text);
  utimesSync(path, 1_700_000_000, 1_700_000_000);
  vi.useFakeTimers({ now: Date.now() + 60_000, toFake: ["Date"] });
  expect(read(path)).toBe(text);
  expect(read(path)).toBe(text);
  return path;
}

describe("readListFile() sees at once what an owner does to a file it has read before", () => {
  test("written over, with the same length", () => {
    const path = settledFile("[one]\n");
    writeFileSync(path, "[two]\n");
    expect(read(path)).toBe("[two]\n");
  });

  test("replaced by an editor that keeps the time", () => {
    const path = settledFile("[one]\n");
    writeFileSync(`${path}.new`, "[two]\n");
    utimesSync(`${path}.new`, 1_700_000_000, 1_700_000_000);
    renameSync(`${path}.new`, path);
    expect(read(path)).toBe("[two]\n");
  });

  test("removed, and made again", () => {
    const path = settledFile("[one]\n");
    rmSync(path);
    expect(read(path)).toBeUndefined();
    writeFileSync(path, "[one]\n");
    expect(read(path)).toBe("[one]\n");
  });

  test("changed twice within one tick of the clock", () => {
    const path = join(temporaryDirectory(), "prefix");
    for (let round = 0; round < 200; round++) {
      writeFileSync(path, `[${100 + round}]\n`);
      expect(read(path)).toBe(`[${100 + round}]\n`);
    }
  });
});

test("readListFile() says what is no readable file", () => {
  const dir = temporaryDirectory();
  expect(read(join(dir, "none"))).toBeUndefined();
  writeFileSync(join(dir, "file"), "x");
  expect(read(join(dir, "file", "below"))).toBeUndefined();
  mkdirSync(join(dir, "charset"));
  expect(() => read(join(dir, "charset"))).toThrow(/^Unable to read .*charset: is a directory/);
});
