import { author, spreadPost } from "../fanout.mjs";
import { percentiles, sleep } from "../measure.mjs";
import { members } from "../site.mjs";
import { clock, mailText, Sender } from "../smtp.mjs";

export const what =
  "what an SMTP sender waits for its 250 while a big post goes out, and when idle";

/** Two senders, up to 20 messages/s each, until `until` is settled: one keeps its connection, one never does. */
async function senders(site, until) {
  let over = false;
  const ended = until.finally(() => {
    over = true;
  });
  const text = mailText(author, "box@local.test");
  const kept = { dot: [], all: [] };
  const fresh = { dot: [], all: [] };
  const run = async (waits, open) => {
    while (!over) {
      const began = clock();
      const connection = await open();
      const { ms, at } = await connection.send(author, ["box@local.test"], text);
      waits.dot.push(ms);
      waits.all.push(at - began);
      if (waits === fresh) connection.close();
      await sleep(Math.max(0, 50 - (clock() - began)));
    }
  };
  const connection = await new Sender(site.port).open();
  await Promise.all([
    run(kept, async () => connection),
    run(fresh, () => new Sender(site.port).open()),
  ]);
  connection.close();
  return { result: await ended, kept, fresh };
}

export async function run(rig) {
  const subscribers =
    Number(process.env.SUBSCRIBERS) || rig.size(rig.all ? 1_000_000 : 100_000, 2000);
  await rig.listSite(async (site) => {
    site.list("big", members(subscribers));
    await senders(site, sleep(rig.size(500)));
    const idle = await senders(site, sleep(rig.size(4000, 300)));
    const busy = await senders(site, spreadPost(site, subscribers));
    const { value, seconds } = busy.result;
    const note = `post to ${subscribers}: ${seconds.toFixed(1)} s, ${Math.round(value)}/s beside it`;
    const rows = [
      ["250 after the final dot, idle", idle.kept.dot],
      ["250 after the final dot during a big post", busy.kept.dot, note],
      ["connect to 250 after the final dot, idle", idle.fresh.all],
      ["connect to 250 after the final dot during a big post", busy.fresh.all],
    ];
    for (const [figure, waits, text] of rows)
      rig.report.add({ figure, unit: "ms", latency: percentiles(waits), note: text });
    rig.report.add({
      figure: `memory during a post to ${subscribers}`,
      value: Object.values(busy.result.memory).reduce((sum, size) => sum + size, 0),
      unit: "MB",
      memory: busy.result.memory,
    });
  });
}
