import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { childEnvironment } from "../../../src/mta/start/child-environment.ts";

let dir: string;
let node: string;
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), "ezqmail-node-"));
  for (const name of ["ours", "link", "old", "empty"]) mkdirSync(join(dir, name));
  node = join(dir, "ours", "node");
  writeFileSync(node, "");
  writeFileSync(join(dir, "old", "node"), "");
  symlinkSync(node, join(dir, "link", "node"));
});
afterEach(() => rmSync(dir, { recursive: true }));

function path(...directories: string[]): string[] {
  const PATH = directories.map((name) => join(dir, name)).join(":");
  const env = childEnvironment({ env: { PATH }, home: "/home", root: "/root" }, node);
  return (env.PATH ?? "").replaceAll(`${dir}/`, "").split(":");
}

test("PATH begins with our programs and finds the node that runs us before any other", () => {
  expect(path("empty", "ours", "old")).toEqual(["/root/bin", "empty", "ours", "old"]);
  expect(path("empty", "link", "old")).toEqual(["/root/bin", "empty", "link", "old"]);
  expect(path("empty", "old", "ours")).toEqual(["/root/bin", "ours", "empty", "old", "ours"]);
  expect(path("empty")).toEqual(["/root/bin", "ours", "empty"]);
});

test("without PATH there is the usual one", () => {
  const env = childEnvironment({ env: { HOME: "/x", TZ: "UTC" }, home: "/h", root: "/r" }, node);
  expect(env).toEqual({
    PATH: `/r/bin:${join(dir, "ours")}:/usr/local/bin:/usr/bin:/bin`,
    QMAILHOME: "/h",
    TZ: "UTC",
  });
});
