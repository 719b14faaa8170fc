import { describe, expect, it } from "vitest";
import { requireSender, unwrapSender } from "../../../src/ezmlm/list/sender.ts";

describe("unwrapSender()", () => {
  it.each([
    ["ann@x.example", "ann@x.example"],
    ["SRS0=HHH=TT=x.example=ann@relay.example", "ann@x.example"],
    ["srs0+HHH=TT=x.example=ann=b@relay.example", "ann=b@x.example"],
    ["SRS1=GGG=first.example==HHH=TT=x.example=ann@second.example", "ann@x.example"],
    ["prvs=0123456789=ann@x.example", "ann@x.example"],
    ["prvs=ann=0123456aBC@x.example", "ann@x.example"],
    ["btv1==0123456789ab==ann@x.example", "ann@x.example"],
    ["prvs=short=ann@x.example", "prvs=short=ann@x.example"],
    ["SRS0=broken@relay.example", "SRS0=broken@relay.example"],
    ["no-at", "no-at"],
    ["", ""],
  ])("%j is %j", (wrapped, inside) => {
    expect(unwrapSender(wrapped)).toBe(inside);
  });
});

describe("requireSender()", () => {
  it.each([
    [undefined, "not set"],
    ["", "bounce"],
    ["#@[]", "bounce"],
    ["local", "without a host"],
  ])("refuses %j for good", (SENDER, text) => {
    expect(() => requireSender({ env: { SENDER } })).toThrow(text);
  });
});
