import { author } from "../fanout.mjs";
import { percentiles, sleep } from "../measure.mjs";
import { members, taken } from "../site.mjs";
import { post } from "../smtp.mjs";

export const what =
  "from the 250 of a post to the first copy the sink has taken; 1 to 100,000 subscribers";

export async function run(rig) {
  const sizes = rig.tiny ? [1, 10] : [1, 1000, 100_000];
  for (const subscribers of sizes) {
    await rig.withSink(
      (sink) =>
        rig.listSite(
          async (site) => {
            site.list("big", members(subscribers));
            const waits = [];
            for (let n = 0; n < rig.size(subscribers > 10_000 ? 16 : 32, 3); n++) {
              const all = site.log.occurrences(taken, subscribers);
              const first = sink.next();
              const { at } = await post(site.port, author, "big@bench.test");
              waits.push((await first) - at);
              await all;
              await sleep(100);
            }
            rig.report.add({
              figure: `first copy taken after the 250, ${subscribers} subscribers`,
              unit: "ms",
              latency: percentiles(waits.slice(2)),
            });
          },
          { sink },
        ),
      {},
    );
  }
}
