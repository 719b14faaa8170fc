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

const common = {
  absWorkingDir: root,
  bundle: true,
  format: "esm",
  platform: "node",
  target: "node20",
  packages: "external",
  sourcemap: "linked",
  logLevel: "warning",
};

rmSync(dist, { recursive: true, force: true });
await build({
  ...common,
  entryPoints: entries,
  entryNames: "[name]",
  chunkNames: "chunks/[name]-[hash]",
  outdir: dist,
  splitting: true,
  banner: { js: "#!/usr/bin/env node" },
});

/** The dispatcher once more, knowing only what hands in mail, without chunks: half the start-up. */
const quickPrograms = `
  import { qmailInject } from "./mta/inject/qmail-inject.ts";
  import { qmailQueue } from "./mta/inject/qmail-queue.ts";
  const programs = { "qmail-inject": qmailInject, "qmail-queue": qmailQueue };
  export const findProgram = async (name) => programs[name];`;
await build({
  ...common,
  entryPoints: ["src/dispatcher.entry.ts"],
  outfile: join(dist, "quick.js"),
  plugins: [
    {
      name: "quick programs",
      setup(from) {
        from.onLoad({ filter: /src\/programs\.ts$/ }, () => ({
          contents: quickPrograms,
          loader: "ts",
          resolveDir: join(root, "src"),
        }));
      },
    },
  ],
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
