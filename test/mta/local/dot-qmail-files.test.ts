import { mkdtempSync, renameSync, rmSync, statSync, utimesSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { DotQmailFiles } from "../../../src/mta/local/dot-qmail-files.ts";

let home: string;
beforeEach(() => {
  home = mkdtempSync(join(tmpdir(), "dot-qmail-"));
});
afterEach(() => rmSync(home, { recursive: true, force: true }));

const text = (files: DotQmailFiles): string | undefined =>
  files.read(home, ".qmail")?.text.toString();

test("a .qmail file edited in place, replaced or removed counts at once", () => {
  const path = join(home, ".qmail");
  // A clock that runs ahead: the file has long been as it is, so that it is remembered.
  const files = new DotQmailFiles(() => new Date(Date.now() + 3_600_000));
  expect(text(files)).toBeUndefined();
  writeFileSync(path, "&a@x.example\n");
  expect(text(files)).toBe("&a@x.example\n");
  const { atime, mtime } = statSync(path);
  expect(files.read(home, ".qmail")).toBe(files.read(home, ".qmail"));
  // As long as before, and its time put back, as editors and archivers do.
  writeFileSync(path, "&b@x.example\n");
  utimesSync(path, atime, mtime);
  expect(text(files)).toBe("&b@x.example\n");
  writeFileSync(join(home, "new"), "&c@x.example\n");
  renameSync(join(home, "new"), path);
  expect(text(files)).toBe("&c@x.example\n");
  rmSync(path);
  expect(text(files)).toBeUndefined();
});

test("two edits in one tick of the file system's clock both count", () => {
  const files = new DotQmailFiles(() => new Date());
  for (let n = 10; n < 60; n++) {
    writeFileSync(join(home, ".qmail"), `&${n}@x.example\n`);
    expect(text(files)).toBe(`&${n}@x.example\n`);
  }
});
