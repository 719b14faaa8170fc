/** Builds dist/ once before the tests, so that tests of commands run what a user runs. */
import { execFileSync } from "node:child_process";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const root = join(dirname(fileURLToPath(import.meta.url)), "..", "..");

export function setup(): void {
  execFileSync("node", [join(root, "build.mjs")], { stdio: "inherit" });
}
