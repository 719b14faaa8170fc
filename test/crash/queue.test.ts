/**
 * Killed at every arrow of a message, nothing that was accepted is lost and nothing stays behind. Each must
 * have died at its point: one that is not reached any more tests nothing.
 */
import { describe, expect, test } from "vitest";
import { failpoints } from "../../src/mta/queue/failpoint.ts";
import { crashAt, dayOfMail } from "../support/crash.ts";

describe("qmail-send killed at", () => {
  for (const name of failpoints) {
    test.concurrent(name, async () => {
      expect(await crashAt(name, dayOfMail("t", { list: 1500, large: 8000 }))).toBe(true);
    });
  }
  const late = ["expand-after-commit:3", "mark-before-commit:3", "deliver-sent:5"];
  // The first mail looks at the disk; those behind it come in one frame each.
  for (const later of [...late, "accept-before-commit:3", "accept-after-commit:3"]) {
    test.concurrent(later, async () => {
      expect(await crashAt(later, dayOfMail("t", { list: 1500, large: 8000 }))).toBe(true);
    });
  }
  // The first recipients start with the commit, the others come from a file of their own.
  for (const early of ["expand-after-commit", "expand-after-commit:4", "mark-after-commit:2"]) {
    test.concurrent(`${early}, a list longer than memory holds`, async () => {
      expect(await crashAt(early, dayOfMail("t", { list: 6000, large: 10 }))).toBe(true);
    });
  }
});
