/** Every text of the package, in every state of a list its conditions name, against a golden file. */
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import type { ReplyList } from "../../../src/ezmlm/reply/reply-list.ts";
import { renderText } from "../../../src/ezmlm/reply/texts.ts";
import { root } from "../../support/ezmlm.ts";

const directory = join(root, "templates", "en_US");
const names = readdirSync(directory)
  .filter((name) => name.endsWith(".hbs"))
  .map((name) => name.slice(0, -4));

function listWith(flags: ReadonlySet<string>): ReplyList {
  return {
    dir: "/nowhere/joe-list",
    dirArgument: "/nowhere/joe-list",
    local: "joe-list",
    host: "lists.example.org",
    listId: undefined,
    charset: { name: "utf-8", encoding: "" },
    has: (flag) => flags.has(flag),
    line: () => undefined,
  };
}

const cookie = "1700000000.abcdefghijklmnopabcd";
const tags = {
  A: "ann@other.example",
  R: `joe-list-sc.${cookie}-ann=other.example@lists.example.org`,
  X: "sc.",
  number: 7,
};

test("there are 32 texts and every line of them fits a terminal", () => {
  expect(names).toHaveLength(32);
});

test.each(names)("%s reads well in every state", async (name) => {
  const source = readFileSync(join(directory, `${name}.hbs`), "utf8");
  const flags = [...new Set(source.match(/has\.(\w+)/g)?.map((word) => word.slice(4)))].sort();
  const dbs = /#(?:if|unless) (?:digest|allow|deny)\b/.test(source)
    ? ["", "digest", "allow", "deny"]
    : [""];
  const states = [[], flags, ...flags.map((flag) => [flag])].filter(
    (state, at, all) => all.findIndex((other) => other.join() === state.join()) === at,
  );
  const pages: string[] = [];
  for (const db of dbs) {
    for (const state of states) {
      const text = renderText({ env: {}, root }, listWith(new Set(state)), name, { ...tags, db });
      pages.push(`==== db "${db}" flags "${state.join(" ")}"\n${text}`);
      expect(text).not.toMatch(/undefined|\?\?\?\?\?|\{\{|\t/);
      for (const line of text.split("\n")) {
        if (!line.includes("@")) expect(line.length, line).toBeLessThanOrEqual(76);
      }
    }
  }
  await expect(pages.join("")).toMatchFileSnapshot(`../../golden/texts/${name}.txt`);
});
