import fc from "fast-check";
import { expect, test } from "vitest";
import { decodeWords, encodeWords } from "../../src/lib/mime-word.ts";

test("decodeWords() reads Q and B words of several charsets and drops blanks between them", () => {
  expect(decodeWords("=?iso-8859-1?Q?Gr=FC=DFe_aus?= =?utf-8?B?IEvDtmxu?=")).toBe("Grüße aus Köln");
  expect(decodeWords("Re: =?UTF-8?q?a_b?= c")).toBe("Re: a b c");
  expect(decodeWords("=?utf-8*de?q?=C3=BC?=")).toBe("ü");
});

test("decodeWords() joins a character that was split between two words", () => {
  expect(decodeWords("=?utf-8?Q?=C3?= =?utf-8?Q?=BC?=")).toBe("ü");
});

test("decodeWords() leaves broken words and plain text alone", () => {
  for (const text of ["=?utf-8?X?abc?=", "=?utf-8?Q?abc", "a = b ? c"]) {
    expect(decodeWords(text)).toBe(text);
  }
});

test("encodeWords() leaves printable ASCII alone and never makes a word over 75 characters", () => {
  expect(encodeWords("Hello World")).toBe("Hello World");
  fc.assert(
    fc.property(fc.string({ unit: "grapheme", maxLength: 200 }), (text) => {
      const encoded = encodeWords(text);
      expect(decodeWords(encoded)).toBe(text);
      if (encoded !== text) {
        expect(encoded).toMatch(/^[\x20-\x7e]*$/);
        for (const part of encoded.split(" ")) expect(part.length).toBeLessThanOrEqual(75);
      }
    }),
  );
});
