/** bench/results/history.jsonl: a line for each run, so that a slow-down is seen. */
import { execFileSync } from "node:child_process";
import { appendFileSync, existsSync, mkdirSync, readFileSync } from "node:fs";
import { cpus, loadavg } from "node:os";
import { dirname, join } from "node:path";
import { digits, moreIsBetter } from "./report.mjs";
import { root } from "./site.mjs";

const path = join(root, "bench", "results", "history.jsonl");
export const machine = `${cpus().length} x ${cpus()[0]?.model}`;

/** From this load on other work is in the figures. */
export const busy = 2;

/** How many programs wanted a core during the last minute: with more than a few, others worked here too. */
export const load = () => Number(loadavg()[0].toFixed(1));

/** The commit that was measured, with a + when the tree held changes. */
export function commit() {
  const git = (...args) => {
    try {
      return execFileSync("git", ["-C", root, ...args], { encoding: "utf8" }).trim();
    } catch {
      return "";
    }
  };
  const changed = git("status", "--porcelain", "--untracked-files=no", "src", "bench") !== "";
  return `${git("rev-parse", "--short", "HEAD")}${changed ? "+" : ""}`;
}

/**
 * What is worse by a fifth than the median of the last five runs on the same machine, as lines of text.
 * `runs` = the lines of the history, oldest first; those of a busy machine say nothing about us.
 */
export function slowdowns(rows, runs) {
  const comparable = runs.filter(
    (run) => run.machine === machine && run.node === process.version && !(run.load > busy),
  );
  return rows.flatMap((row) => {
    const before = comparable
      .flatMap((run) => run.rows.filter(({ figure }) => figure === row.figure).slice(0, 1))
      .slice(-5)
      .map(({ value }) => value)
      .sort((a, b) => a - b);
    if (before.length === 0) return [];
    const median = before[Math.floor(before.length / 2)];
    const worse = moreIsBetter(row) ? row.value < median * 0.8 : row.value > median * 1.25;
    return worse ? [`${row.figure}: ${digits(median)} -> ${digits(row.value)} ${row.unit}`] : [];
  });
}

export function earlierRuns() {
  if (!existsSync(path)) return [];
  const lines = readFileSync(path, "utf8").trim().split("\n").filter(Boolean);
  return lines.map((line) => JSON.parse(line));
}

/** `before` = the load when the run began. */
export function remember(rows, before) {
  mkdirSync(dirname(path), { recursive: true });
  const run = {
    when: new Date().toISOString(),
    commit: commit(),
    machine,
    node: process.version,
    load: before,
    rows,
  };
  appendFileSync(path, `${JSON.stringify(run)}\n`);
}
