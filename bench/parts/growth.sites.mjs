import { author, spread } from "../fanout.mjs";
import { sinkHost, total } from "../measure.mjs";
import { post } from "../smtp.mjs";

export const what = "one post to one subscriber each at 10 … 10,000 sites";
export const long = true;

export async function run(rig) {
  const sizes = rig.sizes([10, 100, 1000, 10_000]);
  const most = sizes.at(-1);
  const rows = new Map();
  // Number 1 is for the list that warms up.
  const hosts = most + 1;
  await rig.withSink(
    (sink) => {
      const routes = Array.from(
        { length: most },
        (_, n) => `s${n}.example:${sinkHost(n + 2)}:${sink.port}\n`,
      ).join("");
      return rig.listSite(
        async (site) => {
          for (const size of sizes) {
            site.list(
              `l${size}`,
              Array.from({ length: size }, (_, n) => `m@s${n}.example`),
            );
            const send = async () => (await post(site.port, author, `l${size}@bench.test`)).at;
            const text = ": success: 127.";
            await spread(site, text, size, send);
            rows.set(size, await spread(site, text, size, send));
          }
        },
        { control: { smtproutes: `${routes}:127.0.0.1:${sink.port}` }, sink },
      );
    },
    { hosts },
  );
  const points = [...rows].map(([size, { cpu }]) => [size, total(cpu)]);
  rig.report.curve("growth: a post to one each at so many sites", "us", points, (size) => {
    const { cpu, value, memory } = rows.get(size);
    return { cpu, memory, note: `${Math.round(value)} sites/s` };
  });
}
