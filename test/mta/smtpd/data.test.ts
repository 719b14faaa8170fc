import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { DataReader } from "../../../src/mta/smtpd/data.ts";

interface Result {
  status: string;
  body: string;
  taken: number;
  hops: number;
}

/** Read chunks until the reader stops; binary strings in and out. */
function readAll(chunks: readonly string[]): Result {
  const reader = new DataReader();
  let body = "";
  let taken = 0;
  for (const text of chunks) {
    const chunk = Buffer.from(text, "latin1");
    taken += reader.push(chunk, 0);
    body += reader.output.toString("latin1");
    if (reader.status !== "more") break;
  }
  expect(reader.sizeBytes).toBe(body.length);
  return { status: reader.status, body, taken, hops: reader.hops };
}

const read = (...chunks: string[]): Result => readAll(chunks);
const bytewise = (text: string): Result => readAll(text.split(""));

describe("DataReader", () => {
  test.each([
    ["a\r\n.\r\n", "a\n"],
    [".\r\n", ""],
    ["..\r\n.\r\n", ".\n"],
    [".a\r\n...b\r\n.\r\n", "a\n..b\n"],
    ["\r\n\r\n.\r\n", "\n\n"],
    ["a\0\xff\r\n\0\r\n.\r\n", "a\0\xff\n\0\n"],
    ["a.\r\n.\r\nrest", "a.\n"],
    [`${"x".repeat(200_000)}\r\n.\r\n`, `${"x".repeat(200_000)}\n`],
  ])("ends only at CRLF.CRLF: %j", (input, body) => {
    const whole = read(input);
    expect(whole.status).toBe("end");
    expect(whole.body).toBe(body);
    expect(input.slice(whole.taken)).toBe(input.endsWith("rest") ? "rest" : "");
    expect(bytewise(input)).toEqual(whole);
  });

  // Everything some other server takes for the end of data.
  const smuggling = [
    "\n.\n",
    "\n.\r\n",
    "\r\n.\n",
    "\r.\r",
    "\r.\r\n",
    "\r.\n",
    "\n.\r",
    "\r\n.\r",
    "\r\n\0.\r\n",
    "\r\n.\0\r\n",
    "\r\n.\r\r\n",
    "\r\r\n.\r\n",
    "\n\r\n.\r\n",
    "\r\n.\r\0\n",
    "\r\n.\n\r\n",
    "\r\n.\r.\r\n",
  ];
  test.each(smuggling)("never ends at %j, whole or split anywhere", (text) => {
    const input = `a${text}X-After: 1\r\nb`;
    const whole = read(input);
    const bare = /\r(?!\n)|(?<!\r)\n/.test(text);
    expect(whole.status === "end").toBe(false);
    expect(whole.status.startsWith("bare")).toBe(bare);
    expect(bytewise(input)).toEqual(whole);
    for (let at = 0; at <= input.length; at++) {
      expect(read(input.slice(0, at), input.slice(at))).toEqual(whole);
    }
  });

  test("counts Received and Delivered at line starts of the header only", () => {
    const header =
      "Received: x\r\nreceived\r\nDELIVERED-To: y\r\n.Received: dotted\r\n" +
      "Receive: no\r\nX-Received: no\r\n Received: folded\r\nDeliverex\r\n";
    const input = `${header}\r\nReceived: body\r\n.\r\n`;
    expect(read(input).hops).toBe(4);
    expect(bytewise(input).hops).toBe(4);
    expect(read("Received: no empty line\r\n.\r\n").hops).toBe(1);
  });

  const piece = fc.constantFrom("\r\n", "\r\n.", ".", "\r", "\n", "a", "\0", "\xe9", "Received:", "\r\n.\r\n"); // biome-ignore format: one list
  test("yields the same however the bytes are cut, and what a plain reading of the rules says", () => {
    fc.assert(
      fc.property(
        fc.array(piece, { maxLength: 40 }),
        fc.array(fc.nat(60), { maxLength: 12 }),
        (pieces, cuts) => {
          const input = pieces.join("");
          const whole = read(input);
          const chunks: string[] = [];
          let from = 0;
          for (const cut of cuts.sort((a, b) => a - b)) {
            if (cut <= from) continue;
            chunks.push(input.slice(from, cut));
            from = cut;
          }
          chunks.push(input.slice(from));
          expect(read(...chunks)).toEqual(whole);
          expect(whole.status).toBe(plainStatus(input));
          if (whole.status === "end") {
            const text = input.slice(0, whole.taken - 3);
            expect(whole.body).toBe(text.replace(/(^|\n)\./g, "$1").replaceAll("\r\n", "\n"));
          }
        },
      ),
      { numRuns: 2000 },
    );
  });
});

/** The rules, read with regular expressions: whichever comes first decides. */
function plainStatus(input: string): string {
  const never = Number.POSITIVE_INFINITY;
  const end = `\r\n${input}`.indexOf("\r\n.\r\n");
  const at = {
    end: end < 0 ? never : end + 2,
    lf: /(?<!\r)\n/.exec(input)?.index ?? never,
    // A CR is known to be bare when the byte after it is there.
    cr: (/\r(?=[^\n])/.exec(input)?.index ?? never) + 1,
  };
  const first = Math.min(at.end, at.lf, at.cr);
  if (first === never) return "more";
  if (first === at.end) return "end";
  return first === at.lf ? "bare LF" : "bare CR";
}
