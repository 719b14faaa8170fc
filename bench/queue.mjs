/**
 * Micro-benchmark of the queue store on one core: fan-out and marks per second, claim latency with
 * 1,000,000 recipients queued (900,000 at one blocked site), size on disk. Needs `npm run build`.
 * Usage: node bench/queue.mjs [recipients]
 * Bundles the store by itself, so that no thread or socket is in the numbers.
 */
import { mkdirSync, mkdtempSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { build } from "esbuild";

const root = new URL("..", import.meta.url).pathname;
const dir = mkdtempSync(join(tmpdir(), "queue-bench-"));
mkdirSync(join(dir, "mess"));
const bundle = join(root, "dist", "bench-queue.js");
await build({
  stdin: {
    contents: `export { openDatabase } from "./src/lib/sqlite.ts";
      export { queueMigrations } from "./src/mta/queue/schema.ts";
      export { Store } from "./src/mta/queue/store.ts";
      export { QueueView } from "./src/mta/queue/view.ts";
      export { Writer } from "./src/mta/queue/writer.ts";
      export { Failpoint } from "./src/mta/queue/failpoint.ts";`,
    resolveDir: root,
    loader: "ts",
  },
  bundle: true,
  outfile: bundle,
  format: "esm",
  platform: "node",
  packages: "external",
});
const q = await import(pathToFileURL(bundle).href);
const path = join(dir, "queue.db");
const db = q.openDatabase(path, q.queueMigrations, { synchronous: "FULL" });
const writer = new q.Writer(
  new q.Store(db),
  join(dir, "mess"),
  new q.Failpoint(undefined, () => {}),
);
const view = new q.QueueView(q.openDatabase(path, q.queueMigrations, { queryOnly: true }));

const now = Math.floor(Date.now() / 1000) - 10;
let id = 0;
function accept(addresses) {
  const envelope = Buffer.from(addresses.map((a) => `${a}\0`).join(""));
  const body = Buffer.alloc(2048, 120);
  const message = {
    id: ++id,
    class: 2,
    born: now,
    uid: 1,
    sender: "list-return-1-@lists.example-@[]",
    sizeBytes: body.length,
    bodyType: 1,
    hash: null,
    body,
    envelope,
    envelopeBytes: envelope.length,
    key: "",
    prefix: "",
  };
  const [answer] = writer.run([{ kind: "accept", message, slice: null }]);
  if (!answer.ok) throw new Error(answer.text);
  return id;
}
let longest = 0;
function expandAll(message) {
  for (;;) {
    const start = performance.now();
    const [answer] = writer.run([{ kind: "expand", message }]);
    longest = Math.max(longest, performance.now() - start);
    if (!answer.ok) throw new Error(answer.text);
    if (answer.value.finished) return;
  }
}
const print = (name, value) => console.log(`${name.padEnd(52)} ${value}`);
const rate = (n, ms) => `${Math.round(n / (ms / 1000)).toLocaleString("en")}/s`;

const N = Number(process.argv[2] ?? 1_000_000);
let start = performance.now();
for (let m = 0; m < 10; m++) {
  const addresses = Array.from({ length: N / 10 }, (_, i) => {
    const site = i % 10 === 0 ? `site${i % 5000}.example` : "blocked.example";
    return `subscriber${m}.${i}@${site}`;
  });
  expandAll(accept(addresses));
}
print("fan-out, 10 messages (fsync each slice)", rate(N, performance.now() - start));
print("longest transaction", `${longest.toFixed(1)} ms`);
db.pragma("wal_checkpoint(TRUNCATE)");
print(`on disk, ${N} recipients`, `${(statSync(path).size / 1e6).toFixed(1)} MB`);
print("job rows", db.prepare("SELECT count(*) FROM job").pluck().get().toLocaleString("en"));

const lanes = [];
for (let after = null; ; ) {
  const page = view.answer({ kind: "lanes", after, limit: 1000 });
  lanes.push(...page);
  if (page.length < 1000) break;
  after = page.at(-1);
}
start = performance.now();
for (let after = null; ; ) {
  const page = view.answer({ kind: "lanes", after, limit: 1000 });
  if (page.length < 1000) break;
  after = page.at(-1);
}
print(`all ${lanes.length} lanes at start`, `${(performance.now() - start).toFixed(1)} ms`);
const live = lanes.filter((lane) => lane.site !== "Rblocked.example");
const times = [];
for (let i = 0; i < 500; i++) {
  const lane = live[i % live.length];
  const ask = { site: lane.site, class: lane.class, limit: 16 };
  const t = performance.now();
  view.answer({ kind: "claim", now: now + 60, lanes: [ask] });
  times.push(performance.now() - t);
}
times.sort((a, b) => a - b);
print(
  "claim of 100+ recipients, median / worst",
  `${times[250].toFixed(3)} / ${times[499].toFixed(3)} ms`,
);

const jobs = db.prepare("SELECT id, message, count FROM job").all();
start = performance.now();
let marked = 0;
for (let at = 0; at < jobs.length; at += 20) {
  const marks = jobs.slice(at, at + 20).map((job) => {
    marked += job.count;
    return {
      job: job.id,
      message: job.message,
      settled: null,
      retryAt: null,
      failures: [],
      keys: [],
    };
  });
  const [answer] = writer.run([{ kind: "mark", marks }]);
  if (!answer.ok) throw new Error(answer.text);
}
print("marks, 20 jobs per commit (fsync each)", rate(marked, performance.now() - start));
print("left in the queue", db.prepare("SELECT count(*) FROM message").pluck().get());
rmSync(dir, { recursive: true });
rmSync(bundle);
