import { spreadPost } from "../fanout.mjs";
import { total } from "../measure.mjs";
import { members } from "../site.mjs";

export const what = "a post to 100 … 1,000,000 subscribers: CPU for each, time to the first";
export const long = true;

export async function run(rig) {
  await rig.listSite(async (site) => {
    const runs = new Map();
    for (const size of rig.sizes([100, 1000, 10_000, 100_000, 1_000_000], 100_000)) {
      const name = `big${size}`;
      site.list(name, members(size));
      await spreadPost(site, size, name);
      runs.set(size, await spreadPost(site, size, name));
    }
    const points = [...runs].map(([size, { cpu }]) => [size, total(cpu)]);
    rig.report.curve("growth: CPU for each subscriber of a post", "us", points, (size) => ({
      cpu: runs.get(size).cpu,
      memory: runs.get(size).memory,
      note: `${Math.round(runs.get(size).value)}/s, the first after ${runs.get(size).firstMs.toFixed(0)} ms`,
    }));
  });
}
