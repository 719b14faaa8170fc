import fc from "fast-check";
import { expect, test } from "vitest";
import {
  decodeTransfer,
  encodeBase64Text,
  encodeQuotedPrintable,
} from "../../src/lib/transfer-encoding.ts";

test("quoted-printable and base64 come back as they were, in lines that fit", () => {
  fc.assert(
    fc.property(fc.string({ unit: "grapheme", maxLength: 300 }), (raw) => {
      const bytes = Buffer.from(raw.replaceAll("\r", ""));
      const quoted = encodeQuotedPrintable(bytes);
      expect(decodeTransfer(Buffer.from(quoted), "Quoted-Printable")).toEqual(bytes);
      for (const line of quoted.split("\n")) expect(line.length).toBeLessThanOrEqual(76);
      const base64 = encodeBase64Text(bytes);
      const back = decodeTransfer(Buffer.from(base64), "base64")
        .toString()
        .replaceAll("\r\n", "\n");
      expect(back).toBe(bytes.toString());
    }),
  );
});

test("encodeQuotedPrintable() protects blanks at line ends", () => {
  expect(encodeQuotedPrintable(Buffer.from("a \nb\t"))).toBe("a=20\nb=09");
});

test("decodeTransfer() drops what was added at the ends of lines", () => {
  expect(decodeTransfer(Buffer.from("a \t\r\nb= \r\nc \n"), "quoted-printable").toString()).toBe(
    "a\r\nbc\n",
  );
});

test("decodeTransfer() reads a megabyte of blanks to its end", () => {
  const blanks = " ".repeat(1 << 20);
  const decoded = decodeTransfer(Buffer.from(`${blanks}x${blanks}`), "quoted-printable");
  expect(decoded.toString()).toBe(`${blanks}x`);
});

test("decodeTransfer() leaves other encodings alone", () => {
  expect(decodeTransfer(Buffer.from("=41"), "8bit").toString()).toBe("=41");
});
