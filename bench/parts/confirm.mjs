import { spreadPost } from "../fanout.mjs";
import { percentiles, sleep } from "../measure.mjs";
import { members } from "../site.mjs";
import { post } from "../smtp.mjs";

export const what =
  "from a subscription request to its confirmation mail at the sink, idle and during a big post";

export const run = (rig) =>
  rig.withSink((newcomers) => rig.withSink((sink) => measure(rig, newcomers, sink)), {
    watch: "newcomer",
  });

async function measure(rig, newcomers, sink) {
  const subscribers = rig.size(100_000, 2000);
  const routes = `new.example:127.0.0.1:${newcomers.port}\n:127.0.0.1:${sink.port}`;
  let count = 0;
  /** Ask, wait for the confirmation, and again, as long as `going()` says. */
  const ask = async (site, list, going) => {
    const waits = [];
    while (going(waits.length)) {
      const { at } = await post(
        site.port,
        `newcomer${count}@new.example`,
        `${list}-subscribe@bench.test`,
      );
      await newcomers.arrived(++count);
      waits.push(newcomers.arrivals[count - 1].at - at);
      await sleep(50);
    }
    return percentiles(waits);
  };
  await rig.listSite(
    async (site) => {
      site.list("big", members(subscribers));
      site.list("other", []);
      await ask(site, "big", (asked) => asked < rig.size(3));
      const idle = await ask(site, "big", (asked) => asked < rig.size(30, 3));
      rig.report.add({ figure: "confirmation mail, idle", unit: "ms", latency: idle });
      for (const [list, name] of [
        ["big", "the same list"],
        ["other", "another list"],
      ]) {
        let going = true;
        const done = spreadPost(site, subscribers).finally(() => {
          going = false;
        });
        const latency = await ask(site, list, (asked) => going || asked < 2);
        const { value } = await done;
        rig.report.add({
          figure: `confirmation mail during a post to ${subscribers}, ${name}`,
          unit: "ms",
          latency,
          note: `the post went on at ${Math.round(value)}/s`,
        });
      }
    },
    { control: { smtproutes: routes }, sink },
  );
}
