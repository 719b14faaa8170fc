import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { parseHeader } from "../../src/lib/header.ts";
import {
  cookieMark,
  HeaderPrefix,
  isPrefixTemplate,
  linkCookie,
  recipientMark,
} from "../../src/lib/header-prefix.ts";

const secret = Buffer.from("a secret of the list");
const template =
  `List-Unsubscribe: <https://l.example/${cookieMark(secret)}-${recipientMark}>,\n` +
  ` <mailto:joe-ul.${cookieMark(secret)}-${recipientMark}@l.example>\nX-Same: yes\n`;

describe("HeaderPrefix", () => {
  test("fills in recipient and cookie, with the line ends asked for", () => {
    const cookie = linkCookie(secret, "ann=x.example");
    expect(cookie).toMatch(/^[a-p]{20}$/);
    expect(new HeaderPrefix(template, "\r\n").fill("ann@x.example")).toBe(
      `List-Unsubscribe: <https://l.example/${cookie}-ann=x.example>,\r\n` +
        ` <mailto:joe-ul.${cookie}-ann=x.example@l.example>\r\nX-Same: yes\r\n`,
    );
  });

  test("a cookie is another for another recipient or secret, the same for other case", () => {
    expect(linkCookie(secret, "Ann=X.example")).toBe(linkCookie(secret, "ann=x.example"));
    expect(linkCookie(secret, "bob=x.example")).not.toBe(linkCookie(secret, "ann=x.example"));
    expect(linkCookie(Buffer.from("x"), "ann=x.example")).not.toBe(
      linkCookie(secret, "ann=x.example"),
    );
  });

  test("no recipient breaks out of its field, whatever the bytes", () => {
    const nasty = fc.string({
      unit: fc.constantFrom(...'ab@=\r\n\0\x01 <>,;:"\\%#?&\té\u2028\ud800'),
    });
    fc.assert(
      fc.property(nasty, (address) => {
        const filled = new HeaderPrefix(template, "\n").fill(address);
        expect(filled).toMatch(/^[ -~\n]*$/);
        const { fields, bodyStart } = parseHeader(Buffer.from(filled));
        expect(fields.map((field) => field.name)).toEqual(["List-Unsubscribe", "X-Same"]);
        expect(bodyStart).toBe(filled.length);
        expect(fields[0]?.raw.match(/[<>,]/g)).toEqual(["<", ">", ",", "<", ">"]);
      }),
    );
  });

  test("what a mail program decodes from the link is the recipient", () => {
    const filled = new HeaderPrefix(`X: ${recipientMark}\n`, "\n").fill('a+b"é%@x.example');
    expect(decodeURIComponent(filled.slice(3, -1))).toBe('a+b"é%=x.example');
  });

  test("a copy whose address makes a line too long has no prefix", () => {
    const prefix = new HeaderPrefix(template, "\r\n");
    expect(prefix.fill(`${"a".repeat(900)}@x.example`)).not.toBe("");
    expect(prefix.fill(`${"a".repeat(1000)}@x.example`)).toBe("");
    expect(prefix.fill(`${"é".repeat(200)}@x.example`)).toBe("");
  });
});

test.each([
  ["no line end", "X: y"],
  ["an empty line", "X: y\n\nbody\n"],
  ["a body line", "X: y\nno field\n"],
  ["a bare CR", "X: y\r\nZ: a\n"],
  ["NUL", "X: \0\n"],
  ["a name that needs dot-stuffing", ".X: y\n"],
  ["a name that may come to need it", `${recipientMark}: y\n`],
  ["a fold of blanks", "X: y\n \n"],
  ["an unknown mark", "X: \x01z\x01\n"],
  ["half a mark", "X: \x01r\n"],
  ["bytes above 127", "X: é\n"],
  ["more than 4096 bytes", `X: ${"y".repeat(4096)}\n`],
])("isPrefixTemplate() refuses %s", (_what, text) => {
  expect(isPrefixTemplate(text)).toBe(false);
});
