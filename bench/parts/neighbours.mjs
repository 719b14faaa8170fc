import { author, spread } from "../fanout.mjs";
import { sinkHost } from "../measure.mjs";
import { members, taken } from "../site.mjs";
import { freePort, post } from "../smtp.mjs";

export const what = "a post to good sites, alone and beside a site that is dead, mute or slow";

/** The address the bad site is reached at; what went there says so in the log. */
const elsewhere = sinkHost(2);

export async function run(rig) {
  const port = await freePort();
  const delayMs = rig.tiny ? 10 : 1000;
  await measure(rig, "no other");
  await measure(rig, "one that refuses connections", { port });
  await rig.withSink((sink) => measure(rig, "one that takes connections and says nothing", sink), {
    from: 2,
    mute: true,
  });
  await rig.withSink((sink) => measure(rig, "one that takes a second for each message", sink), {
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
        await spread(site, taken, good, send("alone"));
        const first = await spread(site, taken, good, send("big"));
        const second = await spread(site, taken, good, send("big"));
        rig.report.add({
          figure: `post to ${good} at good sites beside ${name}`,
          unit: "/s",
          ...first,
          note: `${bad ? `${badOnes} more there; ` : ""}a second post at once ${Math.round(second.value)}/s`,
        });
      },
      { control: { smtproutes: `${route}:127.0.0.1:${sink.port}` }, sink },
    );
  });
}
