import { expect, test } from "vitest";
import { TemporaryError } from "../../src/lib/errors.ts";
import { renderTemplate } from "../../src/lib/template.ts";

test("renderTemplate() fills values without escaping and honours if", () => {
  const source = "{{name}} <{{address}}>{{#if digest}} digest{{/if}}\n";
  expect(renderTemplate(source, { name: "a&b", address: "x@y", digest: false })).toBe(
    "a&b <x@y>\n",
  );
});

test.each([
  ["a misspelt name", "{{nmae}}"],
  ["an unknown helper", "{{shout name}}"],
  ["the lookup helper", "{{lookup this 'constructor'}}"],
  ["a partial", "{{> other}}"],
  ["prototype access", "{{name.constructor.name}}"],
  ["an open block", "{{#if name}}"],
])("renderTemplate() refuses %s with a temporary error", (_what, source) => {
  expect(() => renderTemplate(source, { name: "x" })).toThrow(TemporaryError);
});
