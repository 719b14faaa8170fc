import { cpSync, existsSync, mkdirSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { percentiles, total } from "../measure.mjs";
import { taken } from "../site.mjs";
import { post } from "../smtp.mjs";

export const what = "1 … 10,000 lists: a post to one of them after another, ezmlm-make of one more";
export const long = true;

/** As many lists as that are posted to in turn; the others only stand there. */
const inUse = 100;

export async function run(rig) {
  await rig.listSite(async (site) => {
    const costs = [];
    const makes = [];
    const rows = new Map();
    let made = 0;
    const makeMs = (name) => {
      const began = performance.now();
      site.list(name, []);
      return performance.now() - began;
    };
    for (const size of rig.sizes([1, 10, 100, 1000, 10_000], 1000)) {
      for (; made < Math.min(size, inUse); made++) site.list(`l${made}`, [`m@site${made}.example`]);
      for (; made < size; made++) standIn(site, `l${made}`);
      const waits = [];
      const posts = rig.size(200, 2);
      const used = Math.min(size, inUse);
      const round = async (count) => {
        for (let n = 0; n < count; n++) {
          const done = site.log.occurrences(taken);
          const { at } = await post(site.port, "ann@elsewhere.example", `l${n % used}@bench.test`);
          waits.push((await done).last - at);
        }
      };
      await round(Math.min(used, posts));
      waits.length = 0;
      const { cpu, memory } = await site.tree.price(posts, () => round(posts));
      costs.push([size, total(cpu)]);
      const times = Array.from({ length: rig.size(9, 1) }, (_, n) => makeMs(`more${size}x${n}`));
      makes.push([size, percentiles(times).p50]);
      rows.set(size, {
        cpu,
        memory,
        note: `250 to sink p50 ${percentiles(waits).p50.toFixed(1)} ms`,
      });
    }
    rig.report.curve("growth: a post to one of so many lists", "us", costs, (size) =>
      rows.get(size),
    );
    rig.report.table("growth: ezmlm-make beside so many lists", "ms", makes);
  });
}

/** A list that is there but nobody writes to: a directory with its links, copied. */
function standIn(site, name) {
  const model = join(site.lists, "l0");
  const dir = join(site.lists, name);
  mkdirSync(dir);
  for (const file of ["editor", "manager", "key", "inlocal", "outlocal", "outhost"])
    if (existsSync(join(model, file))) cpSync(join(model, file), join(dir, file));
  writeFileSync(join(dir, "num"), "0:0\n");
  for (const extension of ["", "-default", "-return-default", "-owner"])
    symlinkSync(join(dir, "editor"), join(site.lists, `.qmail-${name}${extension}`));
}
