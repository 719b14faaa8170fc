import { describe, expect, it } from "vitest";
import { checkCookie, makeCookie, newKey } from "../../../src/ezmlm/list/cookie.ts";
import { surf, surfCookie, textHash } from "../../../src/ezmlm/list/surf.ts";

const key16 = "0123456789abcdef";

describe("surf()", () => {
  it("gives the known answer for zeros", () => {
    const words = [...surf(new Uint32Array(12), new Uint32Array(32))];
    expect(words.map((word) => word.toString(16).padStart(8, "0")).join(" ")).toBe(
      "735f0f53 419bd3ee 99ce0d99 3e3f070d 9fd84c10 7ba57fac 509986cd 4fa60016",
    );
  });
});

describe("surfCookie()", () => {
  it.each([
    ["key", "1000000000", "joe@example.com", "s", "ddmlankdhomhcedibkag"],
    ["key", "1000000000", "joe@example.com", "u", "mlacmfgkgmjkcjemgank"],
    ["ke", "1000000000", "joe@example.com", "s", "filichijdaendfdnjpln"],
    [key16, "1700000000", "user@example.org", "t", "ajanpbbeaipnkbhkhnfe"],
    [key16, "1700000000.4711", "", "a", "afjahegmehinffdlgjom"],
    ["", "", "joe@example.com", "", "nkdaabfigfiennhoddcc"],
    [key16, "1700000000", "user@example.org", "P", "okolikjfkgclkffkjanc"],
  ])(
    "key %j date %j address %j action %j is that of the originals",
    (key, date, address, action, cookie) => {
      expect(surfCookie(Buffer.from(key), date, address, action)).toBe(cookie);
    },
  );
});

describe("textHash()", () => {
  it.each([
    ["Hello World", "ooglnecamlenokomobla"],
    ["helloworld", "ooglnecamlenokomobla"],
    ["", "abgbpcehkblbadijpepd"],
    ["a".repeat(48), "ihhgamllcnielkcpbhig"],
    ["été", "mejdgeodlcpaohllicmd"],
  ])("of %j is that of the originals", (text, hash) => {
    expect(textHash(text)).toBe(hash);
  });
});

describe("makeCookie() and checkCookie()", () => {
  const old = { key: Buffer.from("key") };
  const subject = { action: "s", date: "1000000000", address: "joe@example.com" };

  it("keep the old form for a key of the originals, also per database", () => {
    expect(makeCookie(old, subject)).toBe("ddmlankdhomhcedibkag");
    expect(makeCookie(old, { ...subject, db: "digest" })).toBe("filichijdaendfdnjpln");
  });

  it.each([
    ["new", { key: newKey() }],
    ["old", old],
  ])("tell subjects apart under a %s key", (_form, list) => {
    const cookie = makeCookie(list, subject);
    expect(cookie).toMatch(/^[a-p]{20}$/);
    expect(checkCookie(list, subject, cookie)).toBe(true);
    for (const other of [
      { ...subject, action: "u" },
      { ...subject, date: "1000000001" },
      { ...subject, address: "Joe@example.com" },
      { ...subject, db: "allow" },
      { ...subject, content: "x" },
    ]) {
      expect(checkCookie(list, other, cookie)).toBe(false);
    }
    expect(checkCookie(list, subject, `${cookie}a`)).toBe(false);
    expect(checkCookie(list, subject, "")).toBe(false);
  });

  it("differ between lists: the key counts", () => {
    expect(makeCookie({ key: newKey() }, subject)).not.toBe(makeCookie({ key: newKey() }, subject));
  });
});
