import { describe, expect, it } from "vitest";
import { addressSlot, hashSlot } from "../../../src/ezmlm/subscribers/hash.ts";

describe("hashSlot()", () => {
  it.each([
    ["joe@example.com", 38, 27, 2],
    ["a@b", 20, 31, 29],
    ["@example.com", 24, 26, 21],
    ["very.long.mailbox.name@mail.some-domain.example.org", 34, 14, 17],
    ["jörg@example.com", 41, 13, 40],
  ])(
    "of %j is that of the originals: 64 and 32 bits wide, without T",
    (address, wide, narrow, bare) => {
      const record = Buffer.from(`T${address}`);
      expect([hashSlot(record), hashSlot(record, 32), addressSlot(address)]).toEqual([
        wide,
        narrow,
        bare,
      ]);
    },
  );
});
