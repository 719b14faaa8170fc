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
  ["a misspelt name", "x\n{{nmae}}", 'there is no name "nmae" (line 2)'],
  ["an unknown helper", "{{shout name}}", 'there is no name "shout" (line 1)'],
  ["the lookup helper", "{{lookup this 'constructor'}}", 'there is no name "lookup" (line 1)'],
  ["a partial", "{{> other}}", "The partial other could not be found"],
  ["prototype access", "{{name.constructor.name}}", 'there is no name "name" (line 1)'],
  ["an open block", "{{#if name}}", "line 1 does not make sense"],
  ["half a tag", "one\n{{name}", "line 2 does not make sense"],
  ["a block with another end", "{{#if name}}{{/unless}}", "if doesn't match unless (line 1)"],
])("renderTemplate() refuses %s with a temporary error that says where", (_what, source, why) => {
  expect(() => renderTemplate(source, { name: "x" }, "/list/text/trailer")).toThrow(
    new TemporaryError(`Unable to use /list/text/trailer: ${why}. (#4.3.5)`),
  );
});
