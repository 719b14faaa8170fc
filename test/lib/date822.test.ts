import { expect, it } from "vitest";
import { ClockDate, date822 } from "../../src/lib/date822.ts";

it("date822() writes UTC without weekday, the day unpadded", () => {
  expect(date822(new Date("2026-11-01T03:04:05.999Z"))).toBe("1 Nov 2026 03:04:05 -0000");
});

it("ClockDate follows its clock, forwards and back", () => {
  let now = new Date("2026-11-21T23:59:59.100Z");
  const clock = new ClockDate(() => now);
  expect(clock.text()).toBe("21 Nov 2026 23:59:59 -0000");
  now = new Date("2026-11-21T23:59:59.900Z");
  expect(clock.text()).toBe("21 Nov 2026 23:59:59 -0000");
  now = new Date("2026-11-22T00:00:00.000Z");
  expect(clock.text()).toBe("22 Nov 2026 00:00:00 -0000");
  now = new Date("2026-11-21T23:59:58.000Z");
  expect(clock.text()).toBe("21 Nov 2026 23:59:58 -0000");
});
