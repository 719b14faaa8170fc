import { describe, expect, test } from "vitest";
import {
  authorHash,
  displayName,
  indexEntry,
  indexLines,
  subjectKey,
} from "../../../src/ezmlm/archive/index-line.ts";
import { parseHeader } from "../../../src/lib/header.ts";

const bytes = (text: string) => Buffer.from(text).toString("latin1");

describe("subjectKey()", () => {
  test.each([
    "Re: foo",
    "RE: Re[2]: foo",
    "Sv: Aw: foo",
    "Re^2: foo",
    "Fwd: foo",
    "Antw: foo",
    "vs: foo",
    "foo -Reply",
    "Re:foo",
  ])("%s is an answer to foo", (subject) => {
    const { text, isReply, hash } = subjectKey(subject);
    expect([text, isReply, hash]).toEqual(["foo", true, subjectKey("foo").hash]);
  });

  test.each(["Bug: foo", "FYI: foo", "https: foo", "reply foo"])("%s is none", (subject) => {
    expect(subjectKey(subject)).toMatchObject({ text: subject, isReply: false });
  });

  test("hashes as the originals do", () => {
    expect(subjectKey("hello  WORLD").hash).toBe("ooglnecamlenokomobla");
    expect(subjectKey("=?utf-8?Q?=C3=A9t=C3=A9?=").hash).toBe("mejdgeodlcpaohllicmd");
  });

  test("drops the list's prefix wherever marks stand", () => {
    for (const subject of ["(l-12) foo", "Re: (l-12) foo", "(l - 9)Re: foo", "(l-#) foo"]) {
      expect(subjectKey(subject, "(l-#)").hasPrefix, subject).toBe(!subject.includes("#"));
    }
    expect(subjectKey("[TAG] foo", "[tag]").hasPrefix).toBe(false);
    expect(subjectKey("[ta g] foo", "[tag]").hasPrefix).toBe(true);
  });

  test("reads a subject full of blanks to its end", () => {
    const blanks = " ".repeat(3000);
    expect(subjectKey(`[name${blanks}7 ] foo`, "[name #]")).toMatchObject({ hasPrefix: true });
    expect(subjectKey(`[name${blanks}x`, "[name #]")).toMatchObject({ hasPrefix: false });
    expect(subjectKey(`Re${blanks}[2]${blanks}: foo`)).toMatchObject({ isReply: true });
  });

  test("decodes words in any charset and keeps the last byte of a letter", () => {
    expect(subjectKey("=?iso-8859-1?Q?gr=FC=DFe?= =?utf-8?B?4oKs?=").text).toBe("grüße€");
    expect(subjectKey(bytes("voilà")).text).toBe("voilà");
  });

  test("lets no line break or NUL through, from inside a word either", () => {
    expect(subjectKey("=?utf-8?Q?a=0Ab=00c?=\0").text).toBe("a b c");
  });
});

describe("displayName()", () => {
  test.each([
    ['"Joe User" <j@x>', "Joe User"],
    ["j@x.y (Joe)", "Joe"],
    ["<j@x.y>", "j.x.y"],
    ["j@x.y", "j.x.y"],
    ["=?utf-8?Q?J=C3=B6rg?= <j@x>", "Jörg"],
    ['"a <b> \\"c\\"" <j@x>', 'a <b> "c"'],
    ["", ""],
  ])("of %s is %s", (from, name) => {
    expect(displayName(from)).toBe(name);
  });

  test("does not take long over hostile quotes", () => {
    expect(displayName(`${'"\\'.repeat(2000)} <a@b>`)).toBeTypeOf("string");
  });
});

test("authorHash() names the files of existing archives", () => {
  expect(authorHash("Joe User <joe-list@example.com>")).toBe("pjemhgnfechpnpnhdnik");
  expect(authorHash("joe@example.com")).toBe("iilpffjkofeocejjcgln");
  expect(authorHash("joe@example.com (Joe)")).toBe("iilpffjkofeocejjcgln");
});

test("indexLines() is two lines whatever the header says", () => {
  const header =
    "Subject: =?utf-8?Q?x=0A9=3A_y?=\nFrom: =?utf-8?Q?a=0Ab?= <c@d>\nReceived: x; (\r) 1\n";
  const entry = indexEntry(3, parseHeader(Buffer.from(header)).fields);
  expect(indexLines(entry).split("\n")).toHaveLength(3);
});
