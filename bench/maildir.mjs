/**
 * Maildir deliveries per second through qmail-lspawn and one local worker, every one with its fsyncs,
 * each of a message of its own that the worker fetches.
 *
 *   node bench/maildir.mjs [--deliveries 20000] [--size 2048] [--parallel 64]
 */
import { chownSync, mkdirSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { parseArgs } from "node:util";
import { build } from "esbuild";
import { freshDirectory } from "./site.mjs";

const root = join(dirname(fileURLToPath(import.meta.url)), "..");
const { values } = parseArgs({
  options: {
    deliveries: { type: "string", default: "20000" },
    size: { type: "string", default: "2048" },
    parallel: { type: "string", default: "64" },
  },
});
const deliveries = Number(values.deliveries);
const parallel = Number(values.parallel);

// Below test/, so that the rig finds dist/ where it always is.
const bundle = join(root, "test", "mta", "local", `.bench-${process.pid}.mjs`);
await build({
  entryPoints: [join(root, "test", "mta", "local", "lspawn-rig.ts")],
  outfile: bundle,
  bundle: true,
  format: "esm",
  platform: "node",
  packages: "external",
});
// Where the rig makes its directories.
process.env.TMPDIR = freshDirectory("maildir-");
let LspawnRig;
try {
  ({ LspawnRig } = await import(pathToFileURL(bundle).href));
} finally {
  rmSync(bundle);
}

const rig = new LspawnRig();
const uid = process.getuid() === 0 ? 65534 : process.getuid();
const home = rig.userHome("joe", {}, uid);
rig.assign(`=joe:joe:${uid}:${uid}:${home}:::`);
const env = {};
if (process.env.PROFILE) {
  env.EZQMAIL_PROFILE = process.env.PROFILE;
  mkdirSync(process.env.PROFILE, { recursive: true });
  chownSync(process.env.PROFILE, uid, uid);
}
await rig.start({ uid, gid: uid, env });

const body = `Subject: x\n\n${"x".repeat(Number(values.size))}\n`;
/** Microseconds of CPU of a process so far. */
const cpu = (pid) =>
  readdirSync(`/proc/${pid}/task`)
    .map((task) => readFileSync(`/proc/${pid}/task/${task}/schedstat`, "latin1").split(" ")[0])
    .reduce((sum, nanoseconds) => sum + Number(nanoseconds) / 1000, 0);

/** Hand out `count` deliveries, at most `parallel` at a time; resolves when all are reported. */
async function run(count) {
  const before = rig.reports.size;
  for (let sent = 0; rig.reports.size < before + count; ) {
    while (sent < count && sent - (rig.reports.size - before) < parallel) {
      rig.deliver("joe@bench.example", body);
      sent++;
    }
    const seen = rig.reports.size;
    await rig.until(() => rig.reports.size > seen);
  }
}

// A server that has just started compiles more than it delivers.
await run(3000);
const [worker] = rig.workerPids();
const before = { worker: cpu(worker), lspawn: cpu(rig.pid) };
const started = performance.now();
await run(deliveries);
const seconds = (performance.now() - started) / 1000;
const each = (now, then) => ((now - then) / deliveries).toFixed(0);
const spent =
  `CPU us each: worker ${each(cpu(worker), before.worker)}, ` +
  `qmail-lspawn ${each(cpu(rig.pid), before.lspawn)}`;
const failed = [...rig.reports.values()].filter(({ verdict }) => verdict !== "K").length;
console.log(
  `${Math.round(deliveries / seconds)} Maildir deliveries/s through ${rig.workerUids.length} worker(s), ` +
    `${parallel} at a time, ${spent}, ${failed} failed`,
);
rig.askToStop();
await rig.until(() => rig.exitCode !== undefined);
await rig.stop();
rmSync(process.env.TMPDIR, { recursive: true });
