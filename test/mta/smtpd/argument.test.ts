import { describe, expect, test } from "vitest";
import { announcedSize, isBadBodyType, parsePath } from "../../../src/mta/smtpd/argument.ts";

const address = (argument: string): string | undefined => parsePath(argument)?.address;

describe("parsePath()", () => {
  test.each([
    ["FROM:<a@b.example>", "a@b.example"],
    ['TO:<@r1,@r2:"q\\"x"@TEST.example>', 'q"x@TEST.example'],
    ["b@x junk", "b@x"],
    ["TO:b@x junk", "b@x"],
    ["TO:   b@x", "b@x"],
    ["FROM:<>", ""],
    ["", ""],
    ["FROM:<a b@x>", "a b@x"],
    ['FROM:<"a>b"@x> SIZE=3', "a>b@x"],
    ['FROM:<"a\\\\b c"@x>', "a\\b c@x"],
    ["FROM:<a\\@b@x>", "a@b@x"],
    ["FROM:<a@x", "a@x"],
    ['FROM:<"a@x', "a@x"],
    ["FROM:<@r>", ""],
    ["FROM:<@r:>", ""],
    ["FROM:<a@b@c>", "a@b@c"],
    ["FROM:<\xc3\xa9@x>", "é@x"],
    ["FROM:<\xef\xbb\xbfa@x>", "\ufeffa@x"],
  ])("reads %j as qmail does", (argument, expected) => {
    expect(address(argument)).toBe(expected);
  });

  test.each([
    ["a bare CR", "FROM:<a\rb@x>"],
    ["NUL", "FROM:<a\0b@x>"],
    ["another control character", 'FROM:<"a\x07b"@x>'],
    ["a control character behind a backslash", "FROM:<a\\\r@x>"],
    ["bytes that are no UTF-8", "FROM:<\xff@x>"],
    ["an overlong form", "FROM:<\xc0\xaf@x>"],
    ["a lone surrogate", "FROM:<\xed\xa0\x80@x>"],
  ])("refuses %s inside the path", (_what, argument) => {
    expect(address(argument)).toBeUndefined();
  });

  test("takes 899 bytes and refuses 900, counted in bytes", () => {
    expect(address(`FROM:<${"a".repeat(897)}@x>`)).toHaveLength(899);
    expect(address(`FROM:<${"a".repeat(898)}@x>`)).toBeUndefined();
    expect(address(`FROM:<${"\xc3\xa9".repeat(449)}@x>`)).toBeUndefined();
    expect(address(`FROM:<${"\xc3\xa9".repeat(448)}@x>`)).toHaveLength(450);
  });

  test("replaces an address literal of ours only", () => {
    const local = { host: "mx.example", isLocalIp: (ip: string) => ip === "127.0.0.1" };
    const read = (text: string): string | undefined => parsePath(text, local)?.address;
    expect(read("TO:<a@[127.0.0.1]>")).toBe("a@mx.example");
    expect(read("TO:<a@[127.0.0.2]>")).toBe("a@[127.0.0.2]");
    expect(read("TO:<a@[127.0.0.1].x>")).toBe("a@[127.0.0.1].x");
    expect(read("TO:<[127.0.0.1]>")).toBe("[127.0.0.1]");
    expect(parsePath("TO:<a@[127.0.0.1]>")?.address).toBe("a@[127.0.0.1]");
    expect(read(`TO:<${"a".repeat(886)}@[127.0.0.1]>`)?.length).toBe(897);
  });
});

test("announcedSize() reads SIZE among other parameters", () => {
  expect(announcedSize(" BODY=8BITMIME SIZE=123")).toBe(123);
  expect(announcedSize(" size=0")).toBe(0);
  expect(announcedSize(" AUTH=<>")).toBeUndefined();
  expect(announcedSize(" SIZE=")).toBe("bad");
  expect(announcedSize(" SIZE=-1")).toBe("bad");
});

test("isBadBodyType() knows 7BIT and 8BITMIME", () => {
  expect(isBadBodyType(" BODY=8bitmime SIZE=1")).toBe(false);
  expect(isBadBodyType(" BODY=7BIT")).toBe(false);
  expect(isBadBodyType("")).toBe(false);
  expect(isBadBodyType(" BODY=BINARYMIME")).toBe(true);
});
