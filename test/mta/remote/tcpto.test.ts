import { mkdtempSync, readFileSync, rmSync, truncateSync, utimesSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, it } from "vitest";
import {
  formatTimeouts,
  parseTimeouts,
  TimeoutFile,
  TimeoutTable,
} from "../../../src/mta/remote/tcpto.ts";

it("TimeoutTable skips an address after two timeouts two minutes apart, for about an hour", () => {
  const table = new TimeoutTable(0);
  expect(table.timedOut("10.0.0.1", 1000)).toBe(true);
  expect(table.timedOut("10.0.0.1", 1100)).toBe(false);
  expect(table.suppressed("10.0.0.1", 1101)).toBe(false);
  expect(table.timedOut("10.0.0.1", 1121)).toBe(true);
  expect(table.suppressed("10.0.0.1", 1121 + 3839)).toBe(true);
  expect(table.suppressed("10.0.0.1", 1121 + 3840)).toBe(false);
  expect(table.suppressed("2001:db8::1", 1122)).toBe(false);
});

it("TimeoutTable skips nothing for what was noted while the clock was ahead", () => {
  const table = new TimeoutTable(0);
  for (const at of [9000, 9200]) table.timedOut("10.0.0.1", at);
  expect(table.suppressed("10.0.0.1", 9195)).toBe(true);
  expect(table.suppressed("10.0.0.1", 2000)).toBe(false);
  expect(table.timedOut("10.0.0.1", 2000)).toBe(true);
  expect(table.suppressed("10.0.0.1", 2001)).toBe(true);
});

it("TimeoutTable forgets an address that answered, and says whether it knew it", () => {
  const table = new TimeoutTable(0);
  table.timedOut("::1", 1000);
  expect(table.connected("::1")).toBe(true);
  expect(table.connected("::1")).toBe(false);
  expect(table.list()).toEqual([]);
});

it("TimeoutTable holds 64 addresses, at most 10 timeouts, and gives up the oldest and least", () => {
  const table = new TimeoutTable(0);
  for (let n = 0; n < 12; n++) table.timedOut("10.9.9.9", n * 200);
  expect(table.list()).toEqual([{ address: "10.9.9.9", timeouts: 10, at: 2200 }]);
  for (let n = 0; n < 64; n++) table.timedOut(`10.0.0.${n}`, 5000 + n);
  expect(table.list()).toHaveLength(64);
  expect(table.list().some((r) => r.address === "10.9.9.9")).toBe(true);
  expect(table.list().some((r) => r.address === "10.0.0.0")).toBe(false);
});

it("parseTimeouts() reads what formatTimeouts() wrote and nothing from an old binary table", () => {
  const records = [{ address: "2001:db8::1", timeouts: 3, at: 1795224928 }];
  expect(parseTimeouts(formatTimeouts(records))).toEqual(records);
  expect(parseTimeouts("\0".repeat(1024))).toEqual([]);
});

it("TimeoutFile keeps a copy and forgets when somebody empties it", () => {
  const directory = mkdtempSync(join(tmpdir(), "tcpto-"));
  try {
    const path = join(directory, "tcpto");
    const file = new TimeoutFile(path, 0);
    file.table.timedOut("10.0.0.1", 1000);
    file.save();
    expect(readFileSync(path, "utf8")).toBe("10.0.0.1 1 1000\n");
    file.refresh();
    expect(file.table.list()).toHaveLength(1);
    truncateSync(path);
    utimesSync(path, 1, 1);
    file.refresh();
    expect(file.table.list()).toEqual([]);
    const nowhere = new TimeoutFile(join(directory, "missing", "tcpto"), 0);
    nowhere.table.timedOut("10.0.0.1", 1000);
    nowhere.save();
    nowhere.refresh();
    expect(nowhere.table.list()).toHaveLength(1);
  } finally {
    rmSync(directory, { recursive: true });
  }
});
