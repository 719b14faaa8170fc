/** Each part of the bench runs, with sizes that measure nothing, so that the bench cannot rot. */
import { spawn } from "node:child_process";
import { existsSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";

const root = join(import.meta.dirname, "..", "..");
const tools = [process.env.POSTFIX_BIN, "/usr/sbin", "/tmp/postfix/usr/sbin"];
const haveSink = tools.some((place) => place && existsSync(join(place, "smtp-sink")));

function bench(...args: string[]): Promise<{ code: number | null; output: string }> {
  const child = spawn("node", [join(root, "bench", "run.mjs"), ...args], {
    stdio: ["ignore", "pipe", "pipe"],
  });
  let output = "";
  child.stdout.on("data", (chunk) => {
    output += chunk;
  });
  child.stderr.on("data", (chunk) => {
    output += chunk;
  });
  return new Promise((resolve) => child.on("close", (code) => resolve({ code, output })));
}

const parts = readdirSync(join(root, "bench", "parts")).map((file) => file.replace(".mjs", ""));

test.skipIf(!haveSink).each(parts)("%s", async (part) => {
  const { code, output } = await bench("--tiny", part);
  expect(code, output).toBe(0);
  expect(output).toMatch(/^.+ {2,}[\d.,]+ \S+/m);
});

test.skipIf(!haveSink)("--profile names stages", async () => {
  const { code, output } = await bench("--tiny", "--profile", "fanout1000");
  expect(code, output).toBe(0);
  expect(output).toMatch(/qmail-send: .* busy/);
});
