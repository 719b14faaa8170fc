import { percentiles, total } from "../measure.mjs";
import { taken } from "../site.mjs";
import { mailText, Sender } from "../smtp.mjs";

export const what = "messages of 1 KB … 25 MB: time in, time out, memory of each process";
export const long = true;

export async function run(rig) {
  await rig.withSink((sink) =>
    rig.site({ smtproutes: `:127.0.0.1:${sink.port}` }, async (site) => {
      const runs = new Map();
      for (const kilobytes of rig.sizes([1, 10, 100, 1000, 10_000, 25_000])) {
        const text = mailText("ann@elsewhere.example", "box@remote.test", kilobytes * 1024);
        const count = rig.size(Math.max(4, Math.min(200, Math.ceil(20_000 / kilobytes))), 2);
        const into = [];
        const out = [];
        const send = async () => {
          const done = site.log.occurrences(taken);
          const connection = await new Sender(site.port).open();
          const { at, ms } = await connection.send(
            "ann@elsewhere.example",
            ["box@remote.test"],
            text,
          );
          connection.close();
          into.push(ms);
          out.push((await done).last - at);
        };
        await send();
        into.length = 0;
        out.length = 0;
        const { cpu, memory } = await site.tree.price(count, async () => {
          for (let n = 0; n < count; n++) await send();
        });
        runs.set(kilobytes, { cpu, memory, into: percentiles(into), out: percentiles(out) });
      }
      const points = [...runs].map(([size, { cpu }]) => [size, total(cpu) / size]);
      rig.report.curve("growth: CPU for each KB in and out, KB", "us", points, (size) => {
        const { into, out, memory } = runs.get(size);
        const note = `from the final dot to the 250 ${into.p50.toFixed(1)} ms, from there to the sink's ${out.p50.toFixed(1)} ms`;
        return { memory, note };
      });
    }),
  );
}
