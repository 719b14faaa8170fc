/** What the documents promise is there: manuals, tables, named tests, RFC references. */
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { programs } from "../../src/programs.ts";
import { root } from "../support/root.ts";

const read = (path: string): string => readFileSync(join(root, path), "utf8");
const sources = (folder: string): string[] =>
  readdirSync(join(root, folder), { recursive: true, encoding: "utf8" })
    .filter((path) => path.endsWith(".ts"))
    .map((path) => join(folder, path));

/** The file that opens with the manual page of a program. */
function manualOf(name: string): string | undefined {
  return sources("src")
    .map(read)
    .map((text) => /^\/\*\*[\s\S]*?\*\//.exec(text)?.[0] ?? "")
    .find((head) => new RegExp(`NAME\\s+(?:[\\w-]+, )*${name}[ ,]`).test(head));
}

test.each(Object.keys(programs))("%s has a manual page, a bin link and a row in README", (name) => {
  const manual = manualOf(name);
  expect(manual, "manual page").toBeDefined();
  for (const section of ["SYNOPSIS", "DESCRIPTION", "EXIT CODES"])
    expect(manual).toContain(section);
  expect(existsSync(join(root, "bin", name)), "bin link (built)").toBe(true);
  expect(read("README.md")).toContain(`\`${name}\``);
});

test.each(Object.entries(programs))(
  "%s: every option of the usage line is in the manual",
  async (name, load) => {
    const { usage } = await load();
    // `-3..-9` and `-0 to -9` in a manual stand for what is between.
    const manual = (manualOf(name) ?? "").replace(
      /-(\d)\s*(?:\.\.+|to)\s*-?(\d)/g,
      (_, low: string, high: string) =>
        Array.from(
          { length: Number(high) - Number(low) + 1 },
          (_unused, at) => `-${Number(low) + at} `,
        ).join(""),
    );
    const letters = (text: string): Set<string> =>
      new Set(
        [...text.matchAll(/(?<![\w'-])-([A-Za-z0-9]+)/g)].flatMap((match) => [...(match[1] ?? "")]),
      );
    const documented = letters(manual);
    // -v and -V print the version everywhere and stand in few manuals.
    const missing = [...letters(usage)].filter(
      (letter) => !/[vV]/.test(letter) && !documented.has(letter),
    );
    expect(missing).toEqual([]);
  },
);

test("every name after SEE ALSO has a manual page", () => {
  const heads = sources("src").flatMap(
    (path) => /^\/\*\*\n( \* NAME [\s\S]*?)\n \*\//.exec(read(path))?.[1] ?? [],
  );
  const pages = new Set(heads.map((head) => /NAME +([^\s,]+)/.exec(head)?.[1]));
  for (const head of heads) {
    const name = /NAME +(\S+)/.exec(head)?.[1];
    const [, list = ""] = /^ \* SEE ALSO +((?:.*\n \* {5,})*.*)$/m.exec(head) ?? [];
    for (const other of list.split(/[\s,*]+/)) {
      if (other !== "") expect(pages, `SEE ALSO of ${name}`).toContain(other);
    }
  }
});

test("every program is an npm bin entry", () => {
  const { bin } = JSON.parse(read("package.json")) as { bin: Record<string, string> };
  expect(Object.keys(bin)).toEqual(Object.keys(programs));
  expect(new Set(Object.values(bin))).toEqual(new Set(["dist/main.cjs"]));
});

test("programs stand in alphabetical order", () => {
  const names = Object.keys(programs);
  expect(names).toEqual([...names].sort());
});

test("every test that COMPATIBILITY.md names exists, and every feature id has a row", () => {
  const rows = read("COMPATIBILITY.md")
    .split("\n")
    .filter((line) => /^\| (qmail|ezmlm):[A-Z]\d\d /.test(line));
  const ids = rows.map((row) => row.split("|")[1]?.trim());
  expect(new Set(ids).size, "ids are unique").toBe(ids.length);
  expect(ids.length, "one row per feature").toBe(100 + 84);
  for (const row of rows) {
    const [, id, , status, , proof] = row.split("|").map((cell) => cell.trim());
    expect(["full", "partial", "no"], id).toContain(status);
    const named = [...(proof ?? "").matchAll(/`(test\/[^`]+)`/g)].map(
      (match) => match[1] as string,
    );
    if (status === "full") expect(named.length, `${id} names its proof`).toBeGreaterThan(0);
    for (const path of named) expect(existsSync(join(root, path)), `${id}: ${path}`).toBe(true);
  }
});

test("every RFC that the code cites is in README's table", () => {
  const cited = new Set<string>();
  for (const path of sources("src"))
    for (const match of read(path).matchAll(/RFC (\d{3,5})/g)) cited.add(match[1] as string);
  const readme = read("README.md");
  for (const number of cited) expect(readme, `RFC ${number}`).toMatch(new RegExp(`\\| ${number} `));
});
