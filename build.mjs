/** Bundles the sources into dist/ and links bin/NAME to the dispatcher for every program. */
import { execFileSync } from "node:child_process";
import {
  chmodSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  symlinkSync,
  unlinkSync,
  writeFileSync,
} from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { setFlagsFromString } from "node:v8";
import { Script } from "node:vm";
import { build } from "esbuild";

const root = dirname(fileURLToPath(import.meta.url));
const dist = join(root, "dist");

const sources = readdirSync(join(root, "src"), { recursive: true, encoding: "utf8" });

/** The table of programs, and every `*.entry.ts` that is not a script below: threads and processes started by file name. */
const entries = sources
  .filter((path) => path === "programs.ts" || path.endsWith(".entry.ts"))
  .filter((path) => !/(command|local-worker)\.entry\.ts$/.test(path))
  .map((path) => join("src", path));

const common = {
  absWorkingDir: root,
  bundle: true,
  platform: "node",
  target: "node20",
  packages: "external",
  logLevel: "warning",
};

rmSync(dist, { recursive: true, force: true });
await build({
  ...common,
  format: "esm",
  entryPoints: entries,
  entryNames: "[name]",
  chunkNames: "chunks/[name]-[hash]",
  outdir: dist,
  splitting: true,
  sourcemap: "linked",
});

/** Of what node has not loaded by itself, a command pays for what it calls, not for what it imports. */
const lazyModules = {
  name: "lazy modules",
  setup(from) {
    from.onResolve({ filter: /^node:/ }, ({ path, namespace }) =>
      namespace === "lazy" || /^node:(buffer|fs|path|url|util|vm)$/.test(path)
        ? { path, external: true }
        : { path, namespace: "lazy" },
    );
    from.onLoad({ filter: /^/, namespace: "lazy" }, async ({ path }) => ({
      contents: Object.keys(await import(path))
        .map((key) => JSON.stringify(key))
        .map((key) => `get ${key}() { return require("${path}")[${key}]; }`)
        .join(",")
        .replace(/^.*$/s, "module.exports = {$&};"),
    }));
  },
};

const script = {
  ...common,
  format: "cjs",
  define: {
    "import.meta.dirname": "__dirname",
    "import.meta.filename": "__filename",
    "import.meta.url": "__filename",
  },
  supported: { "dynamic-import": false },
  plugins: [lazyModules],
};

await build({
  ...script,
  entryPoints: ["src/main.ts"],
  outfile: join(dist, "main.cjs"),
  banner: { js: "#!/usr/bin/env node" },
});
chmodSync(join(dist, "main.cjs"), 0o755);

/** A script that src/lib/compiled.ts runs. */
const compilable = {
  ...script,
  banner: { js: "(function (exports, require, module, __filename, __dirname) {" },
  footer: { js: "})" },
};

/** A command of its own of each program, a function for main.cjs to call, and its compiled code. */
const { programs } = await import(pathToFileURL(join(dist, "programs.js")).href);
const rows = /await import\("(.+?)"\)\)\.(\w+)/g;
const modules = [...readFileSync(join(root, "src/programs.ts"), "utf8").matchAll(rows)];
const names = Object.keys(programs);
if (modules.length !== names.length) throw new Error("a row of programs.ts cannot be read");
await Promise.all(
  modules.map(async ([, path, symbol], at) => {
    await build({
      ...compilable,
      stdin: {
        contents: `
          import { runCommand } from "./command.entry.ts";
          import { ${symbol} as program } from "${path}";
          export const command = (args) => runCommand(program, args);`,
        resolveDir: join(root, "src"),
      },
      outfile: join(dist, "command", `${names[at]}.js`),
    });
  }),
);
setFlagsFromString("--no-lazy");
const compiled = names.map((name) => {
  const filename = join(dist, "command", `${name}.js`);
  return { filename, script: new Script(readFileSync(filename, "latin1"), { filename }) };
});
setFlagsFromString("--lazy");
for (const { filename, script } of compiled) {
  writeFileSync(`${filename}.v8`, script.createCachedData());
}

/**
 * The local worker, with all programs. Only what it needs to start is compiled beforehand, by a node with
 * the limits it will have: V8 takes no code of one with others.
 */
await build({
  ...compilable,
  entryPoints: ["src/mta/local/local-worker.entry.ts"],
  outfile: join(dist, "local-worker.entry.js"),
  sourcemap: "linked",
});
await build({
  ...script,
  entryPoints: ["src/mta/local/start-worker.ts"],
  outfile: join(dist, "local-worker.entry.cjs"),
});
const { outputFiles } = await build({
  ...common,
  format: "esm",
  entryPoints: ["src/mta/local/limits.ts"],
  write: false,
});
const limits = await import(`data:text/javascript,${encodeURIComponent(outputFiles[0].text)}`);
const compile = `
  const { readFileSync, writeFileSync } = require("node:fs");
  const [, filename] = process.argv;
  const script = new (require("node:vm").Script)(readFileSync(filename, "latin1"), { filename });
  writeFileSync(filename + ".v8", script.createCachedData());`;
execFileSync(process.execPath, [
  ...limits.nodeFlags(limits.workerLimits),
  "-e",
  compile,
  join(dist, "local-worker.entry.js"),
]);

/** A program file opens with its manual page; `NAME --help` prints it from dist/man/NAME. */
mkdirSync(join(dist, "man"));
for (const path of sources) {
  if (!path.endsWith(".ts")) continue;
  const comment = /^\/\*\*\n( \* NAME +(\S+)[\s\S]*?)\n \*\//.exec(
    readFileSync(join(root, "src", path), "utf8"),
  );
  if (!comment) continue;
  const page = comment[1].replaceAll(/^ \* ?/gm, "");
  writeFileSync(join(dist, "man", comment[2]), `${page}\n`);
}

const bin = join(root, "bin");
const target = "../dist/main.cjs";
mkdirSync(bin, { recursive: true });
for (const name of readdirSync(bin)) {
  const stale = lstatSync(join(bin, name)).isSymbolicLink() && !Object.hasOwn(programs, name);
  if (stale) unlinkSync(join(bin, name));
}
for (const name of names) {
  const link = join(bin, name);
  const found = lstatSync(link, { throwIfNoEntry: false });
  if (found?.isSymbolicLink() && readlinkSync(link) !== target) unlinkSync(link);
  if (!lstatSync(link, { throwIfNoEntry: false })) symlinkSync(target, link);
}
