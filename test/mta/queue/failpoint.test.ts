/** Crash tests that do not crash must not pass. */
import { expect, test } from "vitest";
import { Failpoint } from "../../../src/mta/queue/failpoint.ts";

test("Failpoint kills at the count-th time, and only at its point", () => {
  let killed = 0;
  const point = new Failpoint("deliver-sent:2", () => killed++);
  point.hit("mark-after-commit");
  point.hit("deliver-sent");
  expect(killed).toBe(0);
  point.hit("deliver-sent");
  expect(killed).toBe(1);
  new Failpoint(undefined, () => killed++).hit("deliver-sent");
  new Failpoint("", () => killed++).hit("deliver-sent");
  expect(killed).toBe(1);
});

test("Failpoint refuses what is no point", () => {
  for (const setting of ["no-such-point", "deliver-sent:", "deliver-sent:0", "deliver-sent:1:2"]) {
    expect(() => new Failpoint(setting, () => {}), setting).toThrow(/no failpoint/);
  }
});
