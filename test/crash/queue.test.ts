/** Killed at every arrow of a message, nothing that was accepted is lost and nothing stays behind. */
import { describe, test } from "vitest";
import { failpoints } from "../../src/mta/queue/failpoint.ts";
import { crashAt, dayOfMail } from "../support/crash.ts";

describe("qmail-send killed at", () => {
  for (const name of failpoints) {
    test.concurrent(name, async () => {
      await crashAt(name, dayOfMail("t", { list: 1500, large: 8000 }));
    });
  }
  const late = ["expand-after-commit:3", "mark-before-commit:3", "deliver-sent:5"];
  // The first mail looks at the disk; those behind it come in one frame each.
  for (const later of [...late, "accept-before-commit:3", "accept-after-commit:3"]) {
    test.concurrent(later, async () => {
      await crashAt(later, dayOfMail("t", { list: 1500, large: 8000 }));
    });
  }
  // The first recipients start with the commit, the others come from a file of their own.
  for (const early of ["expand-after-commit", "expand-after-commit:4", "mark-after-commit:2"]) {
    test.concurrent(`${early}, a list longer than memory holds`, async () => {
      await crashAt(early, dayOfMail("t", { list: 6000, large: 10 }));
    });
  }
});
