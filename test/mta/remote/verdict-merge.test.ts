import { describe, expect, it } from "vitest";
import { mergeVerdict } from "../../../src/mta/remote/verdict-merge.ts";

const merged = (output: string): string => {
  const { verdict, text } = mergeVerdict({ code: 0, signal: null, output: Buffer.from(output) });
  return verdict + text;
};

describe("mergeVerdict()", () => {
  it.each([
    ["r\0Kgood\0", "Kgood"],
    ["sSoft\0DGiving up\0", "ZSoftGiving up"],
    ["hHard\0DGiving up\0", "DHardGiving up"],
    ["r\0Zsoft\0", "Zsoft"],
    ["r\0Dhard\0", "Dhard"],
    ["Zsoft\0", "Zsoft"],
    ["hHard\0Kok\0", "DHard"],
    ["r\0r\0Kok\0", "K"],
    ["junk\0more\0", "Dunk"],
    ["r\0Kgood", "Kgood"],
  ])("reads %j as %j", (output, report) => {
    expect(merged(output)).toBe(report);
  });

  it("reads how the program ended when that says more", () => {
    const end = { output: Buffer.from("r\0Kgood\0"), signal: null };
    expect(mergeVerdict({ ...end, code: 111 }).verdict).toBe("Z");
    expect(mergeVerdict({ ...end, code: 1 }).verdict).toBe("D");
    expect(mergeVerdict({ ...end, code: null, signal: "SIGSEGV" }).text).toBe(
      "qmail-remote crashed.\n",
    );
    expect(mergeVerdict({ code: 0, signal: null, output: Buffer.alloc(0) }).text).toBe(
      "qmail-remote produced no output.\n",
    );
  });
});
