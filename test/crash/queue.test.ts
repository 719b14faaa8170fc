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
  for (const later of ["expand-after-commit:3", "mark-before-commit:3", "deliver-sent:5"]) {
    test.concurrent(later, async () => {
      await crashAt(later, dayOfMail("t", { list: 1500, large: 8000 }));
    });
  }
});
