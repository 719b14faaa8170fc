import {
  chmodSync,
  copyFileSync,
  mkdirSync,
  mkdtempSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, it } from "vitest";
import { ourProgramName } from "../../../src/mta/local/executable.ts";

let root: string;

beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), "executable-"));
  mkdirSync(join(root, "dist"));
  mkdirSync(join(root, "bin"));
  build("one");
  for (const name of ["ezmlm-send", "ezmlm-get"]) {
    symlinkSync("../dist/main.cjs", join(root, "bin", name));
  }
});

afterEach(() => rmSync(root, { recursive: true }));

function build(text: string): void {
  writeFileSync(join(root, "dist", "new"), text, { mode: 0o755 });
  renameSync(join(root, "dist", "new"), join(root, "dist", "main.cjs"));
}

const ours = (word: string): string | undefined =>
  ourProgramName(word, { PATH: `${root}/none:${root}/bin` }, root, root);

it("knows a program by where its name leads, by PATH, path and from the home", () => {
  expect(ours("ezmlm-send")).toBe("ezmlm-send");
  expect(ours(join(root, "bin", "ezmlm-get"))).toBe("ezmlm-get");
  expect(ours("bin/ezmlm-get")).toBe("ezmlm-get");
  expect(ours("ezmlm-other")).toBeUndefined();
});

it("leaves alone what took the name since", () => {
  expect(ours("ezmlm-send")).toBe("ezmlm-send");
  rmSync(join(root, "bin", "ezmlm-send"));
  copyFileSync(join(root, "dist", "main.cjs"), join(root, "bin", "ezmlm-send"));
  expect(ours("ezmlm-send")).toBeUndefined();
  expect(ours("ezmlm-get")).toBe("ezmlm-get");
});

it("follows a new build, and has none while there is none", () => {
  expect(ours("ezmlm-send")).toBe("ezmlm-send");
  build("two");
  expect(ours("ezmlm-send")).toBe("ezmlm-send");
  rmSync(join(root, "dist", "main.cjs"));
  expect(ours("ezmlm-send")).toBeUndefined();
  build("three");
  expect(ours("ezmlm-send")).toBe("ezmlm-send");
});

it("is not ours to run when it may not be executed", () => {
  expect(ours("ezmlm-send")).toBe("ezmlm-send");
  chmodSync(join(root, "dist", "main.cjs"), 0o644);
  expect(ours("ezmlm-send")).toBeUndefined();
});
