/** Sums CPU profiles by function: node bench/profile.mjs DIR [rows]. See EZQMAIL_PROFILE in run.mjs. */
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";

const [dir, rows = "25"] = process.argv.slice(2);
for (const name of readdirSync(dir).filter((file) => file.endsWith(".cpuprofile"))) {
  const { nodes, samples, timeDeltas } = JSON.parse(readFileSync(join(dir, name), "utf8"));
  const byId = new Map(nodes.map((node) => [node.id, node]));
  const self = new Map();
  let total = 0;
  let label = "";
  samples.forEach((id, index) => {
    const { functionName, url, lineNumber } = byId.get(id).callFrame;
    const entry = /([\w-]+)\.entry\.js/.exec(url);
    if (entry) label ||= entry[1];
    if (functionName === "(idle)") return;
    const where = url.startsWith("file:")
      ? url
          .split("/")
          .at(-1)
          .replace(/-[A-Z0-9]{8}\.js/, "")
      : url;
    const key = `${functionName || "(anonymous)"} ${where}:${lineNumber + 1}`;
    self.set(key, (self.get(key) ?? 0) + timeDeltas[index]);
    total += timeDeltas[index];
  });
  console.log(`\n${label || name}: ${(total / 1000).toFixed(0)} ms busy`);
  for (const [key, time] of [...self].sort((a, b) => b[1] - a[1]).slice(0, Number(rows))) {
    console.log(
      `${((100 * time) / total).toFixed(1).padStart(6)} %  ${(time / 1000).toFixed(0).padStart(6)} ms  ${key}`,
    );
  }
}
