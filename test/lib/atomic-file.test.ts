import { linkSync, readdirSync, readFileSync, statSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { overwriteFile, readOverwritten, writeFileAtomic } from "../../src/lib/atomic-file.ts";
import { temporaryDirectory } from "../support/ezmlm.ts";

describe("overwriteFile()", () => {
  test("writes bytes of the same length into the file that is there", () => {
    const path = join(temporaryDirectory(), "num");
    writeFileSync(path, "81:567\n");
    const { ino } = statSync(path);
    expect(overwriteFile(path, "82:571\n")).toBe(true);
    expect(readFileSync(path, "latin1")).toBe("82:571\n");
    expect(statSync(path).ino).toBe(ino);
    expect(readOverwritten(path)).toBe("82:571\n");
  });

  test("leaves everything else to a new file: another length, a link, a missing file", () => {
    const dir = temporaryDirectory();
    const path = join(dir, "num");
    expect(overwriteFile(path, "1:1\n")).toBe(false);
    writeFileSync(path, "99:567\n");
    expect(overwriteFile(path, "100:567\n")).toBe(false);
    symlinkSync(path, join(dir, "symbolic"));
    expect(overwriteFile(join(dir, "symbolic"), "98:567\n")).toBe(false);
    linkSync(path, join(dir, "backup"));
    expect(overwriteFile(path, "98:567\n")).toBe(false);
    expect(readFileSync(path, "latin1")).toBe("99:567\n");
  });
});

test("writeFileAtomic() leaves the new content and no temp file", () => {
  const dir = temporaryDirectory();
  writeFileAtomic(join(dir, "num"), "9:9\n");
  writeFileAtomic(join(dir, "num"), "10:10\n");
  expect(readFileSync(join(dir, "num"), "latin1")).toBe("10:10\n");
  expect(readdirSync(dir)).toEqual(["num"]);
});
