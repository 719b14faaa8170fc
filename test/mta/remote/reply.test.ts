import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { ReplyReader, replyText } from "../../../src/mta/remote/reply.ts";

type Seen = [number, string];

function read(chunks: Buffer[]): Seen[] {
  const seen: Seen[] = [];
  const reader = new ReplyReader((code, data, from, to) => {
    seen.push([code, replyText(data, from, to)]);
  });
  for (const chunk of chunks) reader.push(chunk);
  return seen;
}

const all = (text: string): Seen[] => read([Buffer.from(text, "latin1")]);

describe("ReplyReader", () => {
  it("joins the lines of a reply and takes the code of the first", () => {
    expect(all("250-a\r\n250-b\r\n250 c\r\n354 go\r\n250\r\n")).toEqual([
      [250, "250-a\n250-b\n250 c\n"],
      [354, "354 go\n"],
      [250, "250\n"],
    ]);
  });

  it("gives code 0 for what is no reply", () => {
    for (const text of ["hello", "2500 x", "25", "99 x", "199 x", "650 x", "", "abc-x"]) {
      expect(all(`${text}\r\n`)).toEqual([[0, `${text}\n`]]);
    }
  });

  it("shows NUL as a question mark, drops CR and remembers no more than 5000 bytes", () => {
    expect(all("550 a\0b\rc\r\n")).toEqual([[550, "550 a?bc\n"]]);
    expect(all(`550 ${"x".repeat(9000)}\r\n`)[0]?.[1]).toHaveLength(5001);
  });

  it("gives up on a reply without end", () => {
    const reader: number[] = [];
    const endless = new ReplyReader((code) => reader.push(code));
    for (let n = 0; n < 40; n++) endless.push(Buffer.from("250-more of the same\r\n".repeat(100)));
    expect(reader).toEqual([0]);
    expect(endless.pendingBytes).toBe(0);
  });

  it("gives the same however the stream is cut", () => {
    const line = fc.constantFrom(
      "250 ok",
      "250-more",
      "354 go",
      "junk",
      "550-no\r\n550 no",
      "",
      "2",
    );
    fc.assert(
      fc.property(fc.array(line), fc.array(fc.integer({ min: 1, max: 9 })), (lines, cuts) => {
        const stream = Buffer.from(lines.map((l) => `${l}\r\n`).join(""));
        const chunks: Buffer[] = [];
        let at = 0;
        for (const cut of cuts) {
          chunks.push(stream.subarray(at, at + cut));
          at += cut;
        }
        chunks.push(stream.subarray(at));
        expect(read(chunks)).toEqual(read([stream]));
      }),
    );
  });
});
