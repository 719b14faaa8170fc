import { expect, test } from "vitest";
import { fieldText, findField, headerBytes, makeField, parseHeader } from "../../src/lib/header.ts";

test("parseHeader() keeps folding and bytes, and headerBytes() gives them back", () => {
  const source = Buffer.from("Subject: a\n\tb\nX: \xe9\xff\n\nbody\n", "latin1");
  const { fields, bodyStart, separated } = parseHeader(source);
  expect(fields.map(({ name }) => name)).toEqual(["Subject", "X"]);
  expect(source.subarray(bodyStart).toString()).toBe("body\n");
  expect(separated).toBe(true);
  expect(headerBytes(fields)).toEqual(source.subarray(0, bodyStart - 1));
});

test("a line that is no field ends the header and belongs to the body", () => {
  const source = Buffer.from("Subject: x\nnot a field\nY: z\n");
  const { fields, bodyStart, separated } = parseHeader(source);
  expect(fields).toHaveLength(1);
  expect(source.subarray(bodyStart).toString()).toBe("not a field\nY: z\n");
  expect(separated).toBe(false);
});

test("makeField() refuses what would start another line", () => {
  for (const value of ["a\nBcc: x", "a\rb", "a\0b"])
    expect(() => makeField("Subject", value)).toThrow(/line break/);
  expect(() => makeField("Sub ject", "x")).toThrow(/line break/);
});

test("fieldText() unfolds and decodes UTF-8", () => {
  const { fields } = parseHeader(Buffer.from("SUBJECT: caf\u00e9\n  au lait \n\n"));
  const subject = findField(fields, "subject");
  expect(subject && fieldText(subject)).toBe("caf\u00e9 au lait");
});
