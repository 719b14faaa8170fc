/**
 * Where the CPU of each process went, by stage: V8's profiles say which source a sample was in, source maps
 * which of our files that is. Time in the kernel is in the row of the call that was made. What no thread of
 * V8's own did (the pool that does fsync for Maildirs, helpers of the garbage collector) is left over
 * against what the kernel counted.
 */
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { SourceMap } from "node:module";
import { basename, join } from "node:path";
import { fileURLToPath } from "node:url";

/**
 * The first row whose patterns fit names the stage: [stage, function, source]. A function of V8 or Node
 * that no row names (copying, patterns, timers) counts with whoever called it.
 */
const stages = [
  ["idle", /^\(idle\)$/, /^/],
  ["garbage collection", /^\(garbage collector\)$/, /^/],
  ["event loop, native", /^\(program\)$/, /^/],
  ["TLS", /^/, /^node:(_tls|tls)/],
  ["connect and accept", /^(connect|internalConnect|TCP|onconnection|lookup)$/, /^(node:|$)/],
  ["socket write", /^(writeBuffer|writev|write\w+String)$/, /^$/],
  ["files", /^(open|close|fsync|rename|link|unlink|lstat|fstat|stat|FSReqCallback)$/, /^$/],
  ["files", /^/, /^node:(internal\/)?fs/],
  ["commit (SQLite)", /^/, /better-sqlite3|lib\/sqlite|queue\/(store|states|writer|schema|view)/],
  ["between processes", /^/, /channel\/|lib\/frame|internal\/(worker|child_process)/],
  ["between threads", /^(postMessage|receiveMessageOnPort)$/, /^/],
  ["pack and unpack recipients", /^/, /queue\/packed/],
  ["schedule", /^/, /mta\/send\/(?!events)/],
  ["log", /^/, /send\/events|lib\/log/],
  ["intake", /^/, /mta\/queue/],
  ["SMTP", /^/, /mta\/(smtpd|remote)\//],
  ["list programs", /^/, /src\/ezmlm\//],
  ["local delivery", /^/, /mta\/(local|forward|inject)\//],
  ["parse", /^/, /src\/lib\//],
  ["start", /^/, /^node:internal\/(modules|bootstrap|process\/(pre_execution|esm_loader))/],
];

const maps = new Map();
/** A place in the bundle as `src/…:line`; other places as they are. */
function sourceOf({ url, lineNumber, columnNumber }) {
  const path = url.startsWith("file:") && fileURLToPath(url);
  if (!path || path.includes("/node_modules/"))
    return url === "" ? "" : `${url.replace(/^.*node_modules\//, "")}:${lineNumber + 1}`;
  if (!maps.has(path)) {
    const map = `${path}.map`;
    maps.set(path, existsSync(map) && new SourceMap(JSON.parse(readFileSync(map, "utf8"))));
  }
  const entry = maps.get(path)?.findEntry(lineNumber, columnNumber);
  if (!entry?.originalSource) return `${basename(path)}:${lineNumber + 1}`;
  return `${entry.originalSource.replace(/^.*?(?=src\/)/, "")}:${entry.originalLine + 1}`;
}

/** Of one profile: whose thread it is, and µs by stage and by place, without idle time. */
export function readProfile(path) {
  const { nodes, samples, timeDeltas } = JSON.parse(readFileSync(path, "utf8"));
  const known = new Map();
  const byId = new Map(nodes.map((node) => [node.id, node]));
  let label = "";
  const visit = (node, callerStage) => {
    const name = node.callFrame.functionName || "(anonymous)";
    label ||= /([\w-]+)\.entry\.js/.exec(node.callFrame.url)?.[1] ?? "";
    const source = sourceOf(node.callFrame);
    const named = stages.find(([, fn, file]) => fn.test(name) && file.test(source))?.[0];
    const stage = named ?? callerStage;
    known.set(node.id, { stage, place: `${name} ${source}` });
    for (const child of node.children ?? []) visit(byId.get(child), stage);
  };
  visit(nodes[0], "events and timers");
  const byStage = new Map();
  const byPlace = new Map();
  samples.forEach((id, index) => {
    const { stage, place } = known.get(id);
    if (stage === "idle") return;
    byStage.set(stage, (byStage.get(stage) ?? 0) + timeDeltas[index]);
    byPlace.set(place, (byPlace.get(place) ?? 0) + timeDeltas[index]);
  });
  return { label: label || basename(path), byStage, byPlace };
}

const sum = (byName) => [...byName.values()].reduce((all, time) => all + time, 0);

/** Print the stages of every profile below `dir`, and what the kernel counted for each process. */
export function printStages(dir) {
  for (const site of readdirSync(dir).sort()) {
    console.log(`\nprofile of site ${site}`);
    const names = readdirSync(join(dir, site)).sort();
    for (const name of names.filter((file) => file.endsWith(".cpuprofile"))) {
      const { label, byStage } = readProfile(join(dir, site, name));
      print(label, byStage, 12);
    }
    if (names.includes("cpu.json")) {
      const cpu = JSON.parse(readFileSync(join(dir, site, "cpu.json"), "utf8"));
      const text = Object.entries(cpu).map(
        ([name, { user, system }]) => `${name} ${user.toFixed(1)} + ${system.toFixed(1)}`,
      );
      console.log(`\nall threads, user + system seconds: ${text.join(", ")}`);
    }
  }
}

export function print(title, byName, rows) {
  const all = sum(byName);
  console.log(`\n${title}: ${(all / 1000).toFixed(0)} ms busy`);
  for (const [name, time] of [...byName].sort(([, a], [, b]) => b - a).slice(0, rows))
    console.log(
      `${((100 * time) / all).toFixed(1).padStart(6)} % ${(time / 1000).toFixed(0).padStart(7)} ms  ${name}`,
    );
}
