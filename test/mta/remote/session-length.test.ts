import { expect, it } from "vitest";
import { SessionLength } from "../../../src/mta/remote/session-length.ts";

it("takes a server at its word when three connections in a row ended after the same number", () => {
  const length = new SessionLength();
  length.ended(5, 0);
  length.ended(5, 0);
  length.ended(4, 0);
  length.ended(5, 0);
  length.ended(5, 0);
  expect(length.most(0)).toBe(Number.POSITIVE_INFINITY);
  length.ended(5, 0);
  expect(length.most(0)).toBe(5);
});

it("lets it show again after a minute that it takes more", () => {
  const length = new SessionLength();
  for (let n = 0; n < 3; n++) length.ended(2, 1000);
  expect(length.most(60_999)).toBe(2);
  expect(length.most(61_000)).toBe(Number.POSITIVE_INFINITY);
  length.ended(2, 61_001);
  expect(length.most(61_001)).toBe(Number.POSITIVE_INFINITY);
});
