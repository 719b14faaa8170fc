import { expect, it } from "vitest";
import { hostOf, wireAddress } from "../../../src/mta/remote/wire-address.ts";

it("wireAddress() quotes what needs it and writes domains in A-labels", () => {
  expect(wireAddress("joe.x@h.example")).toEqual({ text: "joe.x@h.example", utf8: false });
  expect(wireAddress("a b@h")).toEqual({ text: '"a b"@h', utf8: false });
  expect(wireAddress("")).toEqual({ text: "", utf8: false });
  expect(wireAddress("#@[]")).toEqual({ text: "#@[]", utf8: false });
  expect(wireAddress("joe@bücher.example")).toEqual({
    text: "joe@xn--bcher-kva.example",
    utf8: false,
  });
  expect(wireAddress("jürg@h")).toMatchObject({ utf8: true });
});

it("wireAddress() refuses what would break the command line", () => {
  for (const bad of ["a\r\nDATA@h", "a@h\r\nRSET", "a\0@h", "a@h> SIZE=1", "a@h x", "a\nb"]) {
    expect(wireAddress(bad), JSON.stringify(bad)).toBeUndefined();
  }
});

it("hostOf() gives what DNS knows", () => {
  expect(hostOf("a@b@H.Example")).toBe("h.example");
  expect(hostOf("a@Bücher.example")).toBe("xn--bcher-kva.example");
  expect(hostOf("nobody")).toBe("");
});
