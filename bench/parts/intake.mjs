import { generate } from "../smtp.mjs";

export const what =
  "messages/s that get a durable 250, 2 KB, 20 connections at a time, deliveries held";

export async function run(rig) {
  for (const [figure, reuse, count] of [
    ["intake, new connection each", false, rig.size(3000)],
    ["intake, connections reused", true, rig.size(5000)],
  ]) {
    const measure = async (server, messages) => {
      await generate(server.port, Math.ceil(messages / 4), { reuse });
      const { seconds, cpu } = await server.tree.price(messages, () =>
        generate(server.port, messages, { reuse }),
      );
      return { value: messages / seconds, cpu };
    };
    const held = { smtpd_client_restrictions: "check_client_access static:HOLD" };
    const peer = await rig.postfix(held, (postfix) => measure(postfix, Math.ceil(count / 3)));
    const ours = await rig.site({ concurrencylocal: "0", concurrencyremote: "0" }, (site) =>
      measure(site, count),
    );
    rig.report.add({ figure, unit: "/s", ...ours, peers: peer && { Postfix: peer } });
  }
}
