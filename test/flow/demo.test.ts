/** `npm run demo` is what one shows a friend: it must play to its end and leave nothing behind. */
import { spawnSync } from "node:child_process";
import { chmodSync, mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { root } from "../support/root.ts";

test("ezqmail-demo plays every scene and leaves nothing behind", () => {
  // A place of its own: other tests make and remove such sites at the same time.
  const place = mkdtempSync(join(tmpdir(), "ezqmail-play-"));
  onTestFinished(() => rmSync(place, { recursive: true, force: true }));
  chmodSync(place, 0o755); // the server of root works under other uids
  const played = spawnSync(join(root, "bin", "ezqmail-demo"), {
    encoding: "utf8",
    env: { ...process.env, NO_COLOR: "1", TMPDIR: place },
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
  expect(readdirSync(place)).toEqual([]);
}, 60_000);
