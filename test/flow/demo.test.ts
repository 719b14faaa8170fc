/** `npm run demo` is what one shows a friend: it must play to its end and leave nothing behind. */
import { spawnSync } from "node:child_process";
import { readdirSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { root } from "../support/root.ts";

const ours = (): string[] =>
  readdirSync(tmpdir()).filter((name) => name.startsWith("ezqmail-demo-"));

test("ezqmail-demo plays every scene and leaves nothing behind", () => {
  const before = ours();
  const played = spawnSync(join(root, "bin", "ezqmail-demo"), {
    encoding: "utf8",
    env: { ...process.env, NO_COLOR: "1" },
  });
  expect(played.stderr).toBe("");
  expect(played.status).toBe(0);
  for (const scene of [
    "makes a list",
    "joins by mail",
    "everybody gets a copy",
    "reads the archive",
    "mailbox breaks",
    "moderated list",
    "prefers a digest",
    "Ann leaves",
  ]) {
    expect(played.stdout).toContain(scene);
  }
  expect(ours().filter((name) => !before.includes(name))).toEqual([]);
}, 60_000);
