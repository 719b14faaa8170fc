/**
 * npm run bench: the figures of one machine in one run, everything durable, the sink and the generator
 * included in the load; Debian's Postfix under the same load where it is installed.
 *
 *   node bench/run.mjs [--all] [--list] [--markdown] [--profile] [--tiny] [PART ...]
 *
 * Without PART all that are not long; --all takes the long ones and the long ends of curves too. A part
 * NAME.SUB is meant by NAME as well. --markdown adds the table for a document. --profile prints where the CPU of each process went. --tiny only
 * shows that everything runs; nothing is kept of it.
 */
import { chmodSync, existsSync, mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { busy, commit, earlierRuns, load, machine, remember, slowdowns } from "./history.mjs";
import { missingPostfix } from "./postfix.mjs";
import { Report } from "./report.mjs";
import { Rig } from "./rig.mjs";
import { root } from "./site.mjs";

// Node reads such a file before anything else: 35 ms of every command with the bundle of a distribution.
delete process.env.NODE_EXTRA_CA_CERTS;

const { values: options, positionals: wanted } = parseArgs({
  allowPositionals: true,
  options: Object.fromEntries(
    ["all", "list", "markdown", "profile", "tiny"].map((name) => [name, { type: "boolean" }]),
  ),
});

/** In the order in which they are worth reading; the rest follows. */
const first =
  `floors commands intake relay maildir fanout1000 fanout fanout100k fanout50 fanout-prefix fanout-tls
  fanout-fresh first during confirm neighbours editor`.split(/\s+/);
const names = readdirSync(new URL("./parts/", import.meta.url))
  .map((file) => file.replace(/\.mjs$/, ""))
  .sort((a, b) => (first.indexOf(a) + 1 || 99) - (first.indexOf(b) + 1 || 99));
const parts = new Map();
for (const name of names) parts.set(name, await import(`./parts/${name}.mjs`));

if (options.list) {
  for (const [name, { what, long }] of parts)
    console.log(`${name.padEnd(20)} ${long ? "long" : "    "} ${what}`);
  process.exit();
}
if (!existsSync(join(root, "dist", "main.cjs"))) throw new Error("build first: npm run build");
const isWanted = (name, long) =>
  wanted.length === 0
    ? options.all || !long
    : wanted.some((word) => word === name || name.startsWith(`${word}.`));
const chosen = [...parts].filter(([name, { long }]) => isWanted(name, long));
if (chosen.length === 0) throw new Error(`no such part: ${wanted.join(" ")}; see --list`);

console.log(`${machine}, node ${process.version}, commit ${commit()}, ${new Date().toISOString()}`);
const before = load();
if (before > busy)
  console.log(
    `load average ${before}: other work makes everything worse, CPU the least; nothing is compared`,
  );
const missing = missingPostfix();
console.log(`peer: ${missing ? `none, ratios are left out: ${missing}` : "Debian's Postfix"}\n`);
const report = new Report();
const rig = new Rig(report, options);
for (const signal of ["SIGINT", "SIGTERM"])
  process.once(signal, () => rig.stop().finally(() => process.exit(1)));
let failed = false;
for (const [name, part] of chosen) {
  const began = performance.now();
  const profile = options.profile && mkdtempSync(join(tmpdir(), "bench-profile-"));
  if (profile) {
    chmodSync(profile, 0o755); // the server that writes there is not root
    process.env.PROFILE = profile;
  }
  try {
    await part.run(rig);
    if (profile) (await import("./stages.mjs")).printStages(profile);
  } catch (error) {
    failed = true;
    report.note(`${name}: ${error.stack}`);
  } finally {
    if (profile) rmSync(profile, { recursive: true });
  }
  console.log(`    ${name}: ${((performance.now() - began) / 1000).toFixed(1)} s`);
}
if (options.markdown) console.log(report.markdown());
if (report.notes.length > 0) console.log(`\n${report.notes.join("\n")}`);
if (!options.tiny && !options.profile) {
  const slower = before > busy ? [] : slowdowns(report.rows, earlierRuns());
  for (const text of slower) console.log(`slower than usual: ${text}`);
  remember(report.rows, before);
}
process.exitCode = failed ? 1 : 0;
