import { expect, test } from "vitest";
import {
  crashBackoff,
  isDying,
  latestTry,
  nextTry,
  siteBlockSeconds,
} from "../../../src/mta/send/schedule.ts";

test("nextTry() on schedule is 400·n² remote and 100·n² local after birth", () => {
  for (const [channel, unit] of [
    ["remote", 400],
    ["local", 100],
  ] as const) {
    let at = 1000;
    for (let n = 1; n <= 39; n++) {
      at = nextTry(1000, at, channel);
      expect(at).toBe(1000 + unit * n * n);
    }
  }
});

test("nextTry() uses the integer root of the age", () => {
  expect(nextTry(1000, 1004, "local")).toBe(1144);
  expect(nextTry(1000, 1004, "remote")).toBe(1484);
});

test("nextTry() of mail from a clock that was ahead is a first step from now", () => {
  expect(nextTry(1000 + 31_536_000, 1000, "remote")).toBe(1400);
  expect(nextTry(1000 + 31_536_000, 1000, "local")).toBe(1100);
});

test("isDying() only past the lifetime and outside the grace after a start", () => {
  const lifetime = { queuelifetime: 100, notBefore: 0 };
  expect(isDying(1000, 1100, lifetime)).toBe(false);
  expect(isDying(1000, 1101, lifetime)).toBe(true);
  expect(isDying(1000, 1101, { ...lifetime, notBefore: 1102 })).toBe(false);
});

test("no next try and no rest is later than latestTry(), however short the lifetime", () => {
  for (const lifetime of [0, 60, 3600, 86_400, 604_800, 606_840, 2_000_000]) {
    const now = 1000 + lifetime;
    const latest = latestTry(now, lifetime);
    for (let age = Math.max(0, lifetime - 3000); age <= lifetime; age++) {
      expect(nextTry(now - age, now, "remote")).toBeLessThanOrEqual(latest);
    }
    expect(now + crashBackoff(1000)).toBeLessThanOrEqual(latest);
  }
});

test("siteBlockSeconds() grows and stays bounded", () => {
  expect(siteBlockSeconds(0)).toBeLessThan(siteBlockSeconds(1));
  expect(siteBlockSeconds(1000)).toBe(600);
});
