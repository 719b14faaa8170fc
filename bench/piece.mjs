/** A benchmark of one piece, which is a program of its own, as rows of the report. */
import { spawn } from "node:child_process";
import { join } from "node:path";
import { root } from "./site.mjs";

/**
 * Run bench/NAME with these arguments and add a row for each [figure, unit, pattern]; what the pattern
 * captures first is the value. Throws when the program fails or says something else.
 */
export async function addPiece(report, name, args, rows) {
  const child = spawn("node", [join(root, "bench", name), ...args.map(String)], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  let output = "";
  child.stdout.on("data", (chunk) => {
    output += chunk;
  });
  const code = await new Promise((resolve) => child.on("close", resolve));
  if (code !== 0) throw new Error(`${name}: exit ${code}\n${output}`);
  for (const [figure, unit, pattern] of rows) {
    const found = pattern.exec(output);
    if (!found) throw new Error(`${name}: nothing like ${pattern} in\n${output}`);
    report.add({ figure, value: Number(found[1].replaceAll(",", "")), unit });
  }
}
