import { rmSync } from "node:fs";
import { afterAll, expect, test } from "vitest";
import { LineMaker, makeField, type Outcome, ourOutcome, shellOutcomes } from "./shell-lines.ts";

const field = makeField();
afterAll(() => rmSync(field.dir, { recursive: true, force: true }));

test("60,000 generated lines run as the real shell runs them", async () => {
  for (let seed = 1; seed <= 20; seed++) {
    const maker = new LineMaker(seed);
    const lines: string[] = [];
    const ours: Outcome[] = [];
    while (lines.length < 3000) {
      const line = maker.line();
      const outcome = await ourOutcome(line, field);
      if (!outcome) continue;
      lines.push(line);
      ours.push(outcome);
    }
    const real = await shellOutcomes(lines, field);
    lines.forEach((line, at) => {
      expect({ seed, line, ...ours[at] }).toEqual({ seed, line, ...real[at] });
    });
  }
});
