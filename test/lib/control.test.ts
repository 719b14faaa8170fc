import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, test } from "vitest";
import { Control, domainKeys } from "../../src/lib/control.ts";
import { TemporaryError } from "../../src/lib/errors.ts";

const home = mkdtempSync(join(tmpdir(), "control-"));
mkdirSync(join(home, "control"));
const control = new Control(home);
const put = (name: string, text: string): void => writeFileSync(join(home, "control", name), text);
afterAll(() => rmSync(home, { recursive: true }));

test("line() takes the first line without trailing blanks; empty is not missing", () => {
  put("me", "host.example \t\nsecond\n");
  put("empty", "");
  expect(control.line("me")).toBe("host.example");
  expect(control.line("empty")).toBe("");
  expect(control.line("absent")).toBeUndefined();
  expect(control.lineOrMe("helohost", "x")).toBe("host.example");
});

test("number() takes leading digits; without any the default stays", () => {
  put("databytes", "5000 bytes\n");
  put("words", "many\n");
  expect(control.number("databytes", 0)).toBe(5000);
  expect(control.number("words", 7)).toBe(7);
  expect(control.number("absent", 9)).toBe(9);
});

test("list() drops empty lines and comments, keeps leading blanks", () => {
  put("locals", "# ours\na.example \n\n b.example\n#c\n");
  expect(control.list("locals")).toEqual(["a.example", " b.example"]);
});

test("map() ignores lines without colon, lowers keys, and the last of equal keys wins", () => {
  put("smtproutes", "A.example:one\nnonsense\na.EXAMPLE:two:25\n:rest\n");
  expect([...(control.map("smtproutes") ?? [])]).toEqual([
    ["a.example", "two:25"],
    ["", "rest"],
  ]);
});

test("a file that cannot be read is temporary trouble that names the file", () => {
  mkdirSync(join(home, "control", "rcpthosts"));
  expect(() => control.list("rcpthosts")).toThrow(TemporaryError);
  expect(() => control.list("rcpthosts")).toThrow(/control\/rcpthosts: is a directory/);
});

test("domainKeys() tries the domain, then each suffix, longest first", () => {
  expect(domainKeys("A.b.Example")).toEqual(["a.b.example", ".b.example", ".example"]);
  expect(domainKeys("localhost")).toEqual(["localhost"]);
});
