import { rmSync } from "node:fs";
import { afterAll, expect, test } from "vitest";
import { parseCommandLine } from "../../../src/mta/local/command-line.ts";
import {
  LineMaker,
  makeField,
  type Outcome,
  ourOutcome,
  shellOutcome,
  shellOutcomes,
} from "./shell-lines.ts";

const field = makeField();
afterAll(() => rmSync(field.dir, { recursive: true, force: true }));

test("parseCommandLine() understands the stock lines of lists", () => {
  for (const line of [
    "/usr/bin/ezmlm-reject '/lists/my list'",
    "ezmlm-clean '/lists/l' || exit 0",
    "if test -f '/lists/l/threaded'; then ezmlm-archive '/lists/l' || exit 0; fi",
    "if test ! -f 'D/subpostonly' -a -f 'D/modpost'; then ezmlm-gate 'D' . digest allow mod; fi",
    "if test -f 'D/subpostonly' && test ! -f 'D/modpost'; then ezmlm-checksub 'D' . digest allow mod && ezmlm-store 'D'; fi",
    "if test -f 'D/digested' && ezmlm-tstdig 'D'; then ezmlm-get 'D' || exit 0; fi",
    'forward "$DEFAULT"@other.example',
    '[ -n "$EXT" ] && exit 99; except grep -q x',
  ]) {
    expect(parseCommandLine(line, field.env), line).toBeDefined();
  }
});

test("parseCommandLine() leaves to sh what it cannot prove", () => {
  for (const line of [
    "",
    "a | b",
    "a & b",
    "a > file",
    "a < file",
    "a `b`",
    "a $(b)",
    "a *",
    "a ?",
    "a [ab]",
    "~/bin/a",
    "FOO=bar a",
    "a # comment",
    "a $PATH",
    'a "$IFS"',
    // biome-ignore lint/suspicious/noTemplateCurlyInString: this is shell
    "a ${EXT:-x}",
    "a $SENDER",
    "(a)",
    "{ a; }",
    "while a; do b; done",
    "case x in x) a;; esac",
    "if a; then b",
    "a &&",
    "a ; ; b",
    "! ! a",
    "a\nb",
    "a 'b",
    'a "b',
    "a\\",
    "a 'x\x01y'",
  ]) {
    expect(parseCommandLine(line, field.env), line).toBeUndefined();
  }
});

test("generated lines run as the real shell runs them", async () => {
  const maker = new LineMaker(20261121);
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
    expect({ line, ...ours[at] }).toEqual({ line, ...real[at] });
  });
});

test("most generated lines are understood at all", async () => {
  const maker = new LineMaker(7);
  let understood = 0;
  for (let n = 0; n < 500; n++) if (await ourOutcome(maker.line(), field)) understood++;
  expect(understood).toBeGreaterThan(150);
});

test("lines run by sh -c agree with the batch that eval runs", async () => {
  const maker = new LineMaker(42);
  for (let n = 0; n < 60; n++) {
    const line = maker.line();
    const outcome = await ourOutcome(line, field);
    if (outcome) expect({ line, ...outcome }).toEqual({ line, ...shellOutcome(line, field) });
  }
});
