import { expect, test } from "vitest";
import { betweenMarks } from "../../../src/ezmlm/manage/edit-text.ts";

test("betweenMarks() takes what stands between the marks, without the quote mark", () => {
  const text = "Hi\n> %%% START here\n> one\n>\n> two\n> %  end there\nbye\n";
  expect(betweenMarks(text, "start here", "END there")).toBe("one\n\ntwo\n");
  expect(betweenMarks("%%% start here\none\n", "start here", "end there")).toBeUndefined();
});

test("betweenMarks() reads a long line of marks to its end", () => {
  const text = `${"%".repeat(300_000)}\n%%% start\none\n%%% end\n`;
  expect(betweenMarks(text, "start", "end")).toBe("one\n");
});
