import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { parseContentType, TypeSet } from "../../../src/ezmlm/post/content-type.ts";
import { filterableBoundary, MimeFilter } from "../../../src/ezmlm/post/mime-filter.ts";

function filtered(body: string, remove: string[], trailer = "", chunk = 7) {
  const types = new TypeSet(remove);
  let outgoing = "";
  let archived = "";
  const filter = new MimeFilter(
    "b",
    {
      keep: (type) => !types.has(type),
      lastPart: () => (trailer === "" ? undefined : Buffer.from(trailer)),
    },
    (bytes, added) => {
      outgoing += bytes.toString("latin1");
      if (!added) archived += bytes.toString("latin1");
    },
  );
  const bytes = Buffer.from(body, "latin1");
  for (let at = 0; at < bytes.length; at += chunk) filter.push(bytes.subarray(at, at + chunk));
  filter.end();
  return { outgoing, archived, kept: filter.keptParts };
}

const part = (type: string, text: string) => `--b\nContent-Type: ${type}\n\n${text}\n`;
const mixed = `${part("text/plain", "one")}${part("image/gif; name=x", "GIF")}${part("text/html", "<p>")}--b--\nend\n`;

describe("MimeFilter", () => {
  test("takes out the parts of a type, the rest leaves byte by byte", () => {
    const { outgoing, kept } = filtered(`preamble\n${mixed}`, ["image"]);
    expect(outgoing).toBe(mixed.replace(part("image/gif; name=x", "GIF"), ""));
    expect(kept).toBe(2);
  });

  test("is not fooled by comments, case, folding or quotes in Content-Type", () => {
    for (const type of [
      "(x) IMAGE/gif",
      "image (a (b)) / gif",
      "\n image/gif",
      'image/gif; a="b;c"',
    ]) {
      expect(filtered(`${part(type, "GIF")}--b--\n`, ["image/gif"]).kept).toBe(0);
    }
  });

  test("empties a nested multipart and drops what is left of it", () => {
    const inner = "--i\nContent-Type: image/gif\n\nGIF\n--i--\n";
    const body = `${part("text/plain", "one")}${part('multipart/related; boundary="i"', inner)}--b--\n`;
    expect(filtered(body, ["image"]).outgoing).toBe(`${part("text/plain", "one")}--b--\n`);
  });

  test("leaves a signed part whole", () => {
    const inner = "--i\nContent-Type: image/gif\n\nGIF\n--i--\n";
    const body = `${part("multipart/signed; boundary=i", inner)}--b--\n`;
    expect(filtered(body, ["image"]).outgoing).toBe(body);
  });

  test("looks at lines that are nearly delimiters as fast as at others", () => {
    const blanks = " ".repeat(8000);
    const body = part("text/plain", `--b${blanks}x\n`.repeat(2000));
    const { outgoing } = filtered(`${body}--b--${blanks}\nend\n`, ["image"], "", 65536);
    expect(outgoing.length).toBe(body.length + 5 + blanks.length + 5);
  });

  test("keeps a part that does not say what it is", () => {
    const body = "--b\n\nplain\n--b--\n";
    expect(filtered(body, ["text"]).outgoing).toBe(body);
  });

  test("puts the trailer before the closing delimiter, for subscribers only", () => {
    const { outgoing, archived } = filtered(mixed, [], "\n--b\n\ntrailer\n");
    expect(outgoing).toBe(mixed.replace("--b--", "\n--b\n\ntrailer\n--b--"));
    expect(archived).toBe(mixed);
  });

  test("closes a message that never ends, so that the trailer is seen", () => {
    const { outgoing, archived } = filtered("--b\n\ntext", [], "--b\n\ntrailer\n");
    expect(outgoing).toBe("--b\n\ntext\n--b\n\ntrailer\n--b--\n");
    expect(archived).toBe("--b\n\ntext");
  });

  test("gives the same for any chunks, and never throws", () => {
    const lines = fc.constantFrom(
      "--b",
      "--b--",
      "--i",
      "--i--",
      "",
      "x",
      "Content-Type: image/gif",
      "Content-Type: multipart/mixed; boundary=i",
      "Content-Type: text/plain",
      "y".repeat(9000),
      "\0\r",
    );
    fc.assert(
      fc.property(
        fc.array(lines, { maxLength: 25 }),
        fc.integer({ min: 1, max: 10_000 }),
        (all, size) => {
          const body = all.join("\n");
          expect(filtered(body, ["image"], "T", size)).toEqual(filtered(body, ["image"], "T", 1e9));
        },
      ),
      { numRuns: 200 },
    );
  });
});

describe("parseContentType()", () => {
  test("joins split parameters and takes the first of two", () => {
    const type = parseContentType("multipart/mixed; boundary*0=ab; boundary*1=cd; x=1; x=2");
    expect(filterableBoundary(type)).toBe("abcd");
    expect(type.parameters.get("x")).toBe("1");
  });

  test("notices a quote that never ends", () => {
    expect(parseContentType('multipart/mixed; boundary="ab').unterminated).toBe(true);
  });
});
