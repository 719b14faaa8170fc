/** What a log line says about an error. */
import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { causeText, TemporaryError } from "../../src/lib/errors.ts";

function thrownBy(act: () => unknown): unknown {
  try {
    act();
  } catch (error) {
    return error;
  }
  throw new Error("it did not fail");
}

test("causeText() tells every cause once", () => {
  const missing = thrownBy(() => readFileSync("/nonexistent/file"));
  expect(causeText(missing)).toBe("file does not exist");
  const mutex = new TemporaryError("unable to open mutex", { cause: missing });
  expect(causeText(mutex)).toBe("unable to open mutex: file does not exist");
  const said = new TemporaryError("Unable to read control/me: file does not exist. (#4.3.0)", {
    cause: missing,
  });
  expect(causeText(new Error("unable to read controls", { cause: said }))).toBe(
    "unable to read controls: Unable to read control/me: file does not exist. (#4.3.0)",
  );
  expect(causeText("less than 32 MiB of disk are free")).toBe("less than 32 MiB of disk are free");
});

test("causeText() says what a code means, but no name of a file that a stranger chose", () => {
  const full = Object.assign(new Error("database or disk is full"), { code: "SQLITE_FULL" });
  expect(causeText(new TemporaryError("unable to mark", { cause: full }))).toBe(
    "unable to mark: database or disk is full (SQLITE_FULL)",
  );
  const odd = Object.assign(new Error("EXDEV: cross-device link, rename 'evil'"), {
    code: "EXDEV",
    syscall: "rename",
  });
  expect(causeText(odd)).toBe("EXDEV");
});

test("causeText() ends, also where errors cause each other", () => {
  const one = new Error("one");
  const two = new Error("two", { cause: one });
  one.cause = two;
  expect(causeText(one)).toBe("one: two");
});
