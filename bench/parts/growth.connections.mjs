import { total } from "../measure.mjs";
import { generate, Sender } from "../smtp.mjs";

export const what = "1 … 1,000 connections at once: messages/s, memory of qmail-smtpd for each";
export const long = true;

export async function run(rig) {
  const control = { concurrencylocal: "0", concurrencyremote: "0", concurrencyincoming: "1200" };
  await rig.site(control, async (site) => {
    const sizes = rig.sizes([1, 10, 100, 1000]);
    const memories = [];
    const idle = [];
    const held = () => {
      const { "qmail-smtpd": smtpd, "qmail-send": send } = site.tree.memory();
      return (smtpd + send) * 1024;
    };
    // Code that runs for the first time takes memory too; that is not the connection's.
    for (let n = 0; n < 50; n++) (await new Sender(site.port).open()).close();
    const none = held();
    for (const size of sizes) {
      while (idle.length < size) idle.push(await new Sender(site.port).open());
      memories.push([size, (held() - none) / size]);
    }
    for (const connection of idle) connection.close();
    await generate(site.port, rig.size(2000), { reuse: true });
    const costs = [];
    const rows = new Map();
    for (const size of sizes) {
      const count = rig.size(Math.max(1000, 4 * size));
      const { seconds, cpu } = await site.tree.price(count, () =>
        generate(site.port, count, { reuse: true, sessions: size }),
      );
      costs.push([size, total(cpu)]);
      rows.set(size, { cpu, note: `${Math.round(count / seconds)} messages/s` });
    }
    rig.report.curve("growth: a message over so many connections", "us", costs, (size) =>
      rows.get(size),
    );
    for (const [size, value] of memories.slice(-2))
      rig.report.add({
        figure: `growth: memory for each idle connection, ${size} open`,
        value,
        unit: "KB",
      });
  });
}
