/** A trouble that lasts is told once a minute, each by itself. */
import { expect, test } from "vitest";
import { Telltale } from "../../src/lib/telltale.ts";

test("Telltale tells each text once a minute", () => {
  let now = 5;
  const telltale = new Telltale(() => now);
  expect(telltale.isNew("disk full")).toBe(true);
  expect(telltale.isNew("disk full")).toBe(false);
  expect(telltale.isNew("access denied")).toBe(true);
  now += 59_999;
  expect(telltale.isNew("disk full")).toBe(false);
  now += 1;
  expect(telltale.isNew("disk full")).toBe(true);
  expect(telltale.isNew("disk full")).toBe(false);
});

test("Telltale remembers the newest of very many texts", () => {
  const telltale = new Telltale(() => 0);
  for (let at = 0; at < 5000; at++) telltale.isNew(`text ${at}`);
  expect(telltale.isNew("text 4999")).toBe(false);
  expect(telltale.isNew("text 0")).toBe(true);
});
