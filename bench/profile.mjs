/**
 * CPU profiles of a run, by function: node bench/profile.mjs DIR [rows]. `PROFILE=DIR node bench/run.mjs PART`
 * leaves them, a directory for each site it started. `run.mjs --profile PART` sums them by stage.
 */
import { readdirSync } from "node:fs";
import { join } from "node:path";
import { print, readProfile } from "./stages.mjs";

const [dir, rows = "25"] = process.argv.slice(2);
for (const name of readdirSync(dir).filter((file) => file.endsWith(".cpuprofile"))) {
  const { label, byPlace } = readProfile(join(dir, name));
  print(label, byPlace, Number(rows));
}
