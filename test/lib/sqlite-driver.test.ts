/** A driver compiled for another version of node, as after an upgrade: mail waits, and the owner is told what to do. */
import { spawnSync } from "node:child_process";
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, expect, test } from "vitest";
import { root } from "../support/root.ts";

const dir = mkdtempSync(join(tmpdir(), "ezqmail-driver-"));
chmodSync(dir, 0o755); // root takes the uid of the list
afterEach(() => rmSync(dir, { recursive: true }));

test("says how to mend it", () => {
  const refusing = join(dir, "refusing.cjs");
  writeFileSync(
    refusing,
    `const { dlopen } = process;
    process.dlopen = (module, file, ...flags) => {
      if (!file.includes("better_sqlite3")) return dlopen.call(process, module, file, ...flags);
      throw Object.assign(new Error("compiled against another version"), { code: "ERR_DLOPEN_FAILED" });
    };`,
  );
  const run = (node: string[], ...args: string[]) => {
    const command = [...node, join(root, "dist", "main.cjs"), ...args];
    const { status, stderr } = spawnSync(process.execPath, command, {
      cwd: dir,
      env: { PATH: process.env.PATH, QMAILHOME: join(dir, "var") },
      encoding: "utf8",
    });
    return [status, stderr];
  };
  const list = join(dir, "list");
  const made = run([], "ezmlm-make", list, join(dir, ".qmail-list"), "list", "list.test");
  expect(made).toEqual([0, ""]);
  expect(run(["--require", refusing], "ezmlm-sub", list, "ann@remote.test")).toEqual([
    111,
    "ezmlm-sub: fatal: better-sqlite3 does not load in this version of node; run npm rebuild better-sqlite3 (#4.3.5)\n",
  ]);
});
