import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { encodeMessage, WireEncoder } from "../../../src/mta/remote/wire-encoder.ts";

const encode = (text: string, how: "data" | "bdat" = "data"): string =>
  encodeMessage(Buffer.from(text, "latin1"), how).bytes.toString("latin1");

/** What makes trouble, made likely. */
const hostile = fc
  .array(fc.constantFrom("\r", "\n", ".", "a", "\0", "\xe9", "\r\n.\r\n", "\r.\r\n"), {
    maxLength: 60,
  })
  .map((parts) => parts.join(""));

describe("encodeMessage()", () => {
  it("ends lines with CRLF, doubles leading dots and ends with the dot", () => {
    expect(encode("a\n.b\n..\nc.\n")).toBe("a\r\n..b\r\n...\r\nc.\r\n.\r\n");
    expect(encode("a\n.b\n", "bdat")).toBe("a\r\n.b\r\n");
  });

  it("completes a partial last line", () => {
    expect(encode("a\nb")).toBe("a\r\nb\r\n.\r\n");
    expect(encode("")).toBe(".\r\n");
  });

  it("keeps a stored CR from ending the data early", () => {
    expect(encode("a\r.\r\nMAIL FROM:<x>\n")).toBe("a\r\n..\r\nMAIL FROM:<x>\r\n.\r\n");
    expect(encode("a\r\n.\r\nb\n")).toBe("a\r\n..\r\nb\r\n.\r\n");
    expect(encode("a\r\r\nb\r")).toBe("a\r\n\r\nb\r\n.\r\n");
  });

  it("never has a bare CR or LF, nor an end of data but the last, whatever is stored", () => {
    fc.assert(
      fc.property(hostile, (text) => {
        const wire = encode(text);
        expect(wire).not.toMatch(/\r(?!\n)|(?<!\r)\n/);
        expect(`\r\n${wire}`.indexOf("\r\n.\r\n")).toBe(wire.length - 3);
        const bdat = encode(text, "bdat");
        expect(bdat).not.toMatch(/\r(?!\n)|(?<!\r)\n/);
        expect(wire.slice(0, -3).replace(/(^|\r\n)\./g, "$1")).toBe(bdat);
      }),
    );
  });

  it("says whether there are 8-bit bytes", () => {
    expect(encodeMessage(Buffer.from("a\n"), "data").eightBit).toBe(false);
    expect(encodeMessage(Buffer.from("é\n"), "data").eightBit).toBe(true);
  });
});

describe("WireEncoder", () => {
  it("remembers an 8-bit byte of an earlier chunk", () => {
    const encoder = new WireEncoder(true);
    encoder.push(Buffer.from("na\u00efve\n"));
    encoder.push(Buffer.from("plain\n"));
    expect(encoder.eightBit).toBe(true);
  });

  it("gives the same however the input is cut", () => {
    fc.assert(
      fc.property(hostile, fc.array(fc.nat(5)), (text, cuts) => {
        const input = Buffer.from(text, "latin1");
        const encoder = new WireEncoder(true);
        const parts: Buffer[] = [];
        let at = 0;
        for (const cut of cuts) {
          parts.push(encoder.push(input.subarray(at, at + cut)));
          at += cut;
        }
        parts.push(encoder.push(input.subarray(at)), encoder.end());
        expect(`${Buffer.concat(parts).toString("latin1")}.\r\n`).toBe(encode(text));
      }),
    );
  });
});
