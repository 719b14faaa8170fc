import { total } from "../measure.mjs";
import { generate, Sender } from "../smtp.mjs";

export const what = "1 … 1,000 connections at once: messages/s, memory of qmail-smtpd for each";
export const long = true;

export async function run(rig) {
  const control = { concurrencylocal: "0", concurrencyremote: "0", concurrencyincoming: "1200" };
  await rig.site(control, async (site) => {
    await generate(site.port, rig.size(2000), { reuse: true });
    const costs = [];
    const rows = new Map();
    const memories = [];
    for (const size of rig.sizes([1, 10, 100, 1000])) {
      const count = rig.size(Math.max(1000, 4 * size));
      const { seconds, cpu } = await site.tree.price(count, () =>
        generate(site.port, count, { reuse: true, sessions: size }),
      );
      costs.push([size, total(cpu)]);
      rows.set(size, { cpu, note: `${Math.round(count / seconds)} messages/s` });
      const before = total(site.tree.memory());
      const idle = [];
      for (let n = 0; n < size; n++) idle.push(await new Sender(site.port).open());
      memories.push([size, ((total(site.tree.memory()) - before) * 1024) / size]);
      for (const connection of idle) connection.close();
    }
    rig.report.curve("growth: a message over so many connections", "us", costs, (size) =>
      rows.get(size),
    );
    rig.report.table("growth: memory for each idle connection, of so many", "KB", memories);
  });
}
