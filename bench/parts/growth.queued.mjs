import { percentiles, total } from "../measure.mjs";
import { Site } from "../site.mjs";
import { generate, post } from "../smtp.mjs";

export const what =
  "1 … 100,000 messages queued: what one more costs, start-up and memory of qmail-send";
export const long = true;

export async function run(rig) {
  // Nothing is delivered: what waits stays.
  const control = { concurrencylocal: "0", concurrencyremote: "0" };
  await rig.using(new Site(control), async (site) => {
    await site.start();
    const more = rig.size(1000);
    const costs = [];
    const starts = [];
    const rows = new Map();
    let queued = 0;
    for (const size of rig.sizes([1, 1000, 10_000, 100_000], 10_000)) {
      if (size > queued) await generate(site.port, size - queued, { reuse: true });
      queued = Math.max(size, queued);
      await site.halt();
      const startMs = await site.start();
      const memory = site.tree.memory()["qmail-send"];
      await generate(site.port, rig.size(300), { reuse: true });
      const { cpu } = await site.tree.price(more, () => generate(site.port, more, { reuse: true }));
      const waits = [];
      for (let n = 0; n < rig.size(30, 2); n++)
        waits.push((await post(site.port, "ann@elsewhere.example", "box@local.test")).ms);
      queued += more + rig.size(300) + waits.length;
      costs.push([size, total(cpu)]);
      starts.push([size, startMs]);
      rows.set(size, { cpu, memory, latency: percentiles(waits) });
    }
    rig.report.curve("growth: one more message, queued already", "us", costs, (size) => ({
      cpu: rows.get(size).cpu,
      note: `250 after the final dot: p50 ${rows.get(size).latency.p50.toFixed(1)} ms, worst ${rows.get(size).latency.worst.toFixed(1)} ms`,
    }));
    rig.report.table("growth: start until ready, queued", "ms", starts);
    const memory = [...rows].map(([size, row]) => [size, row.memory]);
    rig.report.table("growth: memory of qmail-send just started, queued", "MB", memory);
  });
}
