/** qmail-showctl knows the control files that something reads, no others. */
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { controlTable } from "../../../src/mta/tools/control-table.ts";
import { root } from "../../support/root.ts";

/** A method of Control or a file by its path, and the name between quotes. */
const readers = [
  /\bcontrol\.(?:line|lineOrMe|number|list|set|map)\(\s*"([^"]+)"/g,
  /\bControl\([^)]*\)\s*\.(?:line|lineOrMe|number|list|set|map)\(\s*"([^"]+)"/g,
  /\bsetting\("([^"]+)"/g,
  /join\([\w.]+, "control", "([^"]+)"\)/g,
];

test("the table names every control file that is read, in alphabetical order", () => {
  const read = new Set<string>();
  for (const path of readdirSync(join(root, "src"), { recursive: true, encoding: "utf8" })) {
    if (!path.endsWith(".ts") || path.startsWith("mta/tools/")) continue;
    const text = readFileSync(join(root, "src", path), "utf8");
    for (const reader of readers)
      for (const match of text.matchAll(reader)) read.add(match[1] as string);
  }
  expect(controlTable.map(({ name }) => name)).toEqual([...read].sort());
});
