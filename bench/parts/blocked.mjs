import { author } from "../fanout.mjs";
import { percentiles, sleep } from "../measure.mjs";
import { taken } from "../site.mjs";
import { freePort, mailText, post } from "../smtp.mjs";

export const what =
  "1,000,000 recipients queued, 900,000 of them at a dead site: the others, memory";
export const long = true;

export async function run(rig) {
  const each = rig.size(100_000, 100);
  const total = 10 * each;
  const dead = await freePort();
  await rig.withSink((sink) => {
    const smtproutes = `dead.example:127.0.0.1:${dead}\n:127.0.0.1:${sink.port}`;
    return rig.listSite(
      async (site) => {
        const good = site.log.occurrences(taken, total / 10);
        const { result, memory } = await site.tree.price(1, async () => {
          for (let n = 0; n < 10; n++) submit(site, n, each);
          const handedIn = performance.now();
          await good;
          return (performance.now() - handedIn) / 1000;
        });
        const [all, atDead] = [total, total - total / 10];
        rig.report.add({
          figure: `qmail-send with ${all} queued, ${atDead} at a dead site`,
          value: memory["qmail-send"],
          unit: "MB",
          memory,
          note: `the others had theirs ${result.toFixed(1)} s after the last was handed in`,
        });
        await sleep(rig.size(1000));
        const waits = [];
        for (let n = 0; n < rig.size(30, 3); n++) {
          const first = sink.next();
          const { at } = await post(site.port, author, "warm@bench.test");
          waits.push((await first) - at);
          await sleep(20);
        }
        const latency = percentiles(waits);
        rig.report.add({
          figure: `first copy of a post to one beside ${atDead} at a dead site`,
          unit: "ms",
          latency,
        });
        await site.halt();
        const startMs = await site.start();
        const after = site.tree.memory();
        rig.report.add({
          figure: `start with ${atDead} queued`,
          value: startMs,
          unit: "ms",
          memory: after,
        });
      },
      { control: { smtproutes }, sink },
    );
  }, {});
}

/** A message to so many, nine of ten at the dead site. */
function submit(site, message, count) {
  const people = Array.from({ length: count }, (_, n) => {
    const host = n % 10 === 0 ? `site${n % 500}.example` : "dead.example";
    return `member${message}.${n}@${host}`;
  });
  site.queue(author, people, mailText(author, "all@bench.test"));
}
