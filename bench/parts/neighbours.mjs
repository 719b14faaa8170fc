import { author, best, spread } from "../fanout.mjs";
import { sinkHost } from "../measure.mjs";
import { members, taken } from "../site.mjs";
import { freePort, post } from "../smtp.mjs";

export const long = true;
export const what = "a post to good sites, alone and beside a site that is dead, mute or slow";

/** The address the bad site is reached at; what went there says so in the log. */
const elsewhere = sinkHost(2);

export async function run(rig) {
  const port = await freePort();
  const delayMs = rig.tiny ? 10 : 250;
  await measure(rig, "no other");
  await measure(rig, "one that refuses connections", { port });
  await rig.withSink((sink) => measure(rig, "one that takes connections and says nothing", sink), {
    from: 2,
    mute: true,
  });
  await rig.withSink((sink) => measure(rig, "one that takes 250 ms for each message", sink), {
    from: 2,
    delayMs,
  });
}

async function measure(rig, name, bad) {
  const good = rig.size(10_000);
  const badOnes = rig.size(1000, 5);
  const people = members(good);
  const others = Array.from({ length: badOnes }, (_, n) => `member${n}@bad.example`);
  await rig.withSink((sink) => {
    const route = bad ? `bad.example:${elsewhere}:${bad.port}\n` : "";
    return rig.listSite(
      async (site) => {
        // The bad ones first: whoever comes first holds the slots.
        site.list("big", bad ? [...others, ...people] : people);
        site.list("alone", people);
        const send = (list) => async () => (await post(site.port, author, `${list}@bench.test`)).at;
        const several = async (list, posts) => {
          const runs = [];
          for (let n = 0; n < posts; n++) runs.push(await spread(site, taken, good, send(list)));
          return runs;
        };
        // The machine of the moment: without the bad site, on the same server.
        const [, ...before] = await several("alone", 3);
        const runs = await several("big", 4);
        // The slowest: a bad site that takes slot after slot shows in a later post, not in the first.
        const worst = runs.reduce((one, other) => (other.value < one.value ? other : one));
        const rates = runs.map((run) => Math.round(run.value)).join(", ");
        rig.report.add({
          figure: `post to ${good} at good sites beside ${name}`,
          unit: "/s",
          ...worst,
          note: `slowest of ${rates}; just before without it ${Math.round(best(before).value)}${bad ? `; ${badOnes} a post at the bad one` : ""}`,
        });
      },
      { control: { smtproutes: `${route}:127.0.0.1:${sink.port}` }, sink },
    );
  });
}
