/** What the bench concludes from its figures. */
import { join } from "node:path";
import { expect, test } from "vitest";

const bench = join(import.meta.dirname, "..", "..", "bench");
const { percentiles } = await import(join(bench, "measure.mjs"));
const { steepest, timesBetter } = await import(join(bench, "report.mjs"));
const { machine, slowdowns } = await import(join(bench, "history.mjs"));

test("percentiles are of the values that occurred", () => {
  const values = Array.from({ length: 100 }, (_, n) => 100 - n);
  expect(percentiles(values)).toEqual({ count: 100, p50: 50, p90: 90, p99: 99, worst: 100 });
  expect(percentiles([7])).toEqual({ count: 1, p50: 7, p90: 7, p99: 7, worst: 7 });
});

test("the steepest step of a curve is per tenfold size", () => {
  const worst = steepest([
    [1, 10],
    [10, 10],
    [1000, 40],
  ]);
  expect(worst).toMatchObject({ perDecade: 2, size: [10, 1000], cost: [10, 40] });
  expect(steepest([[1, 10]])).toBeUndefined();
});

test("half the time is twice as good, half the rate is not", () => {
  expect(timesBetter({ unit: "ms", value: 5 }, 10)).toBe(2);
  expect(timesBetter({ unit: "/s", value: 5 }, 10)).toBe(0.5);
});

function run(value: number, over: object = {}): object {
  return { machine, node: process.version, rows: [{ figure: "f", unit: "/s", value }], ...over };
}

test("slower means by a fifth than the median of the last five comparable runs", () => {
  const now = [{ figure: "f", unit: "/s", value: 79 }];
  const five = [100, 100, 100, 1, 1000].map((value) => run(value));
  expect(slowdowns(now, five)).toEqual(["f: 100 -> 79 /s"]);
  expect(slowdowns([{ figure: "f", unit: "/s", value: 81 }], five)).toEqual([]);
  const older = [run(10_000), run(10_000), run(10_000), ...five];
  expect(slowdowns([{ figure: "f", unit: "/s", value: 81 }], older)).toEqual([]);
  expect(slowdowns(now, [run(100, { machine: "another" })])).toEqual([]);
  expect(slowdowns(now, [run(100, { load: 7 })])).toEqual([]);
  expect(slowdowns([{ figure: "f", unit: "ms", value: 130 }], five)).toHaveLength(1);
});
