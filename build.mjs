/** Bundles the sources into dist/ and links bin/NAME to the dispatcher for every program. */
import {
  chmodSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  unlinkSync,
  writeFileSync,
} from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { build } from "esbuild";

const root = dirname(fileURLToPath(import.meta.url));
const dist = join(root, "dist");

/** The dispatcher, its table, and every `*.entry.ts`: threads and processes started by file name. */
const entries = readdirSync(join(root, "src"), { recursive: true, encoding: "utf8" })
  .filter((path) => path === "main.ts" || path === "programs.ts" || path.endsWith(".entry.ts"))
  .map((path) => join("src", path));

rmSync(dist, { recursive: true, force: true });
await build({
  absWorkingDir: root,
  entryPoints: entries,
  entryNames: "[name]",
  chunkNames: "chunks/[name]-[hash]",
  outdir: dist,
  bundle: true,
  splitting: true,
  format: "esm",
  platform: "node",
  target: "node20",
  packages: "external",
  sourcemap: "linked",
  logLevel: "warning",
  banner: { js: "#!/usr/bin/env node" },
});
chmodSync(join(dist, "main.js"), 0o755);

/** A program file opens with its manual page; `NAME --help` prints it from dist/man/NAME. */
mkdirSync(join(dist, "man"));
for (const path of readdirSync(join(root, "src"), { recursive: true, encoding: "utf8" })) {
  if (!path.endsWith(".ts")) continue;
  const comment = /^\/\*\*\n( \* NAME +(\S+)[\s\S]*?)\n \*\//.exec(
    readFileSync(join(root, "src", path), "utf8"),
  );
  if (!comment) continue;
  const page = comment[1].replaceAll(/^ \* ?/gm, "");
  writeFileSync(join(dist, "man", comment[2]), `${page}\n`);
}

const { programs } = await import(pathToFileURL(join(dist, "programs.js")).href);
const bin = join(root, "bin");
mkdirSync(bin, { recursive: true });
for (const name of readdirSync(bin)) {
  const stale = lstatSync(join(bin, name)).isSymbolicLink() && !Object.hasOwn(programs, name);
  if (stale) unlinkSync(join(bin, name));
}
for (const name of Object.keys(programs)) {
  const link = join(bin, name);
  if (!lstatSync(link, { throwIfNoEntry: false })) symlinkSync("../dist/main.js", link);
}
