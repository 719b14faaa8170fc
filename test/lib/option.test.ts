import { expect, test } from "vitest";
import { UsageError } from "../../src/lib/errors.ts";
import { OptionTable } from "../../src/lib/option.ts";

const table = new OptionTable(
  "prog",
  [
    { letter: "d", help: "digest" },
    { letter: "D", help: "main list", negates: "d" },
    { letter: "f", argument: "file", help: "a file" },
    { letter: "q", help: "no effect", ignored: true },
  ],
  "DIR [sub]",
);

test("usage names switches, arguments and operands, not what is ignored", () => {
  expect(table.usage).toBe("prog [-dD] [-f file] DIR [sub]");
});

test("clusters, attached and separate arguments; the last one wins", () => {
  const parsed = table.parse(["-dDqd", "-fone", "-f", "two", "dir", "-x"]);
  expect(parsed.flag("d")).toBe(true);
  expect(parsed.count("d")).toBe(2);
  expect(parsed.value("f")).toBe("two");
  expect(parsed.rest).toEqual(["dir", "-x"]);
});

test("-- and a lone - end the options", () => {
  expect(table.parse(["-d", "--", "-D"]).rest).toEqual(["-D"]);
  expect(table.parse(["-", "-D"]).rest).toEqual(["-D"]);
});

test.each([
  [["-x"], "illegal option -- x"],
  [["-f"], "option requires an argument -- f"],
])("%s is refused with the getopt message and the usage line", (args, text) => {
  expect(() => table.parse(args)).toThrow(UsageError);
  expect(() => table.parse(args)).toThrow(`prog: ${text}\nprog: usage: prog [-dD]`);
});
