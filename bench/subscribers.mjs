/**
 * What 1,000,000 subscribers cost: add from a file, list, count, one look-up, one change, remove. Runs
 * the commands in bin/ on a list in a temp directory, and the look-ups in this process.
 * Usage: node bench/subscribers.mjs [number] [std]
 */
import { execFileSync, spawnSync } from "node:child_process";
import { chmodSync, createWriteStream, mkdtempSync, openSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { buildSync } from "esbuild";

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const number = Number(process.argv[2] ?? 1_000_000);
const store = process.argv[3] === "std" ? ["-6", "std"] : [];
const home = mkdtempSync(join(tmpdir(), "ezqmail-bench-"));
chmodSync(home, 0o755); // as root the list goes to another uid, which has to get there
const dir = join(home, "list");
const file = join(home, "people");
const command = (name) => join(root, "bin", name);
const results = {};

function timed(what, work) {
  const start = performance.now();
  work();
  results[what] = `${((performance.now() - start) / 1000).toFixed(2)} s`;
}

try {
  const out = createWriteStream(file);
  for (let i = 0; i < number; i++) {
    const line = `user${(i * 7919) % 1_000_003}.name@host${i % 5000}.example.org\n`;
    if (!out.write(line)) await new Promise((resolve) => out.once("drain", resolve));
  }
  await new Promise((resolve) => out.end(resolve));
  execFileSync(command("ezmlm-make"), [
    ...store,
    dir,
    join(home, ".qmail-list"),
    "list",
    "x.example",
  ]);
  const run = (name, args, input = "ignore") =>
    spawnSync(command(name), args, { stdio: [input, "ignore", "inherit"] });
  timed("add from a file", () => run("ezmlm-sub", [dir], openSync(file, "r")));
  timed("list", () => run("ezmlm-list", [dir]));
  timed("count", () => run("ezmlm-list", ["-n", dir]));
  timed("add one (command)", () => run("ezmlm-sub", [dir, "one@more.example"]));

  const bundle = join(root, "dist", "bench-list.mjs");
  buildSync({
    entryPoints: [join(root, "src/ezmlm/list/list.ts")],
    outfile: bundle,
    bundle: true,
    platform: "node",
    format: "esm",
    packages: "external",
  });
  const { openList } = await import(pathToFileURL(bundle).href);
  const host = {
    cwd: home,
    env: {},
    root,
    uid: statSync(dir).uid,
    signal: new AbortController().signal,
    now: () => new Date(),
  };
  const list = await openList(host, dir);
  const db = list.db();
  await db.has("warm@up.example");
  const lookups = store.length > 0 ? 100 : 100_000;
  const start = performance.now();
  for (let i = 0; i < lookups; i++)
    await db.has(`user${(i * 13) % 1_000_003}.name@host${i % 5000}.example.org`);
  results["look-up"] = `${(((performance.now() - start) * 1000) / lookups).toFixed(1)} µs`;
  let seen = 0;
  const walk = performance.now();
  for await (const batch of db.each()) seen += batch.length;
  results[`each() of ${seen}`] = `${((performance.now() - walk) / 1000).toFixed(2)} s`;
  list.close();
  rmSync(bundle);
  timed("remove from a file", () => run("ezmlm-unsub", [dir], openSync(file, "r")));
  console.table(results);
} finally {
  rmSync(home, { recursive: true, force: true });
}
