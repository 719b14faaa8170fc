import { expect, test } from "vitest";
import { bounceAddress, expandVerp, quoteAddress, splitAddress } from "../../src/lib/address.ts";

test("splitAddress() splits at the last @", () => {
  expect(splitAddress("a@b@c.example")).toEqual({ local: "a@b", domain: "c.example" });
  expect(splitAddress("postmaster")).toEqual({ local: "postmaster", domain: "" });
});

test.each([
  ["x y@h", '"x y"@h'],
  ['q"x\\y@h', '"q\\"x\\\\y"@h'],
  ["a..b@h", '"a..b"@h'],
  ["a.@h", '"a."@h'],
  ["plain+ext=x@h", "plain+ext=x@h"],
  ["", ""],
  ["@h", '""@h'],
])("quoteAddress(%j) is %j", (address, quoted) => {
  expect(quoteAddress(address)).toBe(quoted);
});

test("a VERP sender names the recipient, its bounces go to the bare address", () => {
  expect(expandVerp("list-return-7-@h.example-@[]", "ann@remote.test")).toBe(
    "list-return-7-ann=remote.test@h.example",
  );
  expect(expandVerp("plain@h.example", "ann@remote.test")).toBe("plain@h.example");
  expect(bounceAddress("list-return-7-@h.example-@[]")).toBe("list-return-7-@h.example");
  expect(bounceAddress("#@[]")).toBe("#@[]");
});
