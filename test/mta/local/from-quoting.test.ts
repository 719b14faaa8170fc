/** mboxrd quoting, whatever the chunks a message comes in. */
import { expect, test } from "vitest";
import { FromQuoting } from "../../../src/mta/local/mbox.ts";

function quoted(chunks: readonly Buffer[]): string {
  const quoting = new FromQuoting();
  return Buffer.concat([...chunks.map((chunk) => quoting.push(chunk)), quoting.end()]).toString();
}

test("FromQuoting quotes the same lines however the text is cut", () => {
  const words = ["", ">", ">>", "From ", "From", "Fro", "m ", "\n", "x"];
  const texts = words.flatMap((a) => words.flatMap((b) => words.map((c) => a + b + c)));
  for (const text of texts.flatMap((head) => words.map((last) => head + last))) {
    const lines = text.replace(/^(>*From )/gm, ">$1");
    const expected = lines === "" || lines.endsWith("\n") ? `${lines}\n` : `${lines}\n\n`;
    for (const size of [1, 2, 3, 5, 99]) {
      const pieces = text.match(new RegExp(`[^]{1,${size}}`, "g")) ?? [];
      expect(quoted(pieces.map((piece) => Buffer.from(piece)))).toBe(expected);
    }
  }
});

test("FromQuoting keeps nothing of a line of many >, so that it is looked at once", () => {
  const quoting = new FromQuoting();
  const chunk = Buffer.alloc(65_536, ">");
  for (let n = 0; n < 16; n++) expect(quoting.push(chunk).length).toBe(chunk.length);
  expect(quoting.push(Buffer.from("From me\n")).toString()).toBe(">From me\n");
  expect(quoting.end().toString()).toBe("\n");
});
