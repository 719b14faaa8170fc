import { percentiles } from "../measure.mjs";

export const what = "qmail-inject from start to durable; memory of each process when idle";

export async function run(rig) {
  await rig.site({}, async (site) => {
    const times = [];
    for (let n = 0; n < rig.size(20, 3); n++) {
      const began = performance.now();
      site.command("qmail-inject", ["-f", "ann@bench.test", "box@local.test"], {
        input: "Subject: hi\n\nhello\n",
      });
      times.push(performance.now() - began);
    }
    const latency = percentiles(times.slice(2));
    rig.report.add({ figure: "qmail-inject, start to durable", unit: "ms", latency });
    const memory = site.tree.memory();
    const value = Object.values(memory).reduce((sum, size) => sum + size, 0);
    rig.report.add({ figure: "memory idle, all processes", value, unit: "MB", memory });
  });
}
