import { generate } from "../smtp.mjs";

export const what = "messages/s that get a durable 250, 2 KB, deliveries held, 20 and 100 clients";

/** Clients that write at the same time share a commit: how many there are decides much. */
export async function run(rig) {
  for (const sessions of [20, 100]) {
    for (const reuse of [false, true]) {
      const measure = async (server, messages) => {
        // A server that has just started compiles more than it takes.
        await generate(server.port, messages, { reuse, sessions });
        const { seconds, cpu } = await server.tree.price(messages, () =>
          generate(server.port, messages, { reuse, sessions }),
        );
        return { value: messages / seconds, cpu };
      };
      const held = { smtpd_client_restrictions: "check_client_access static:HOLD" };
      const peer = await rig.postfix(held, (postfix) => measure(postfix, rig.size(800)));
      const ours = await rig.site(
        { concurrencylocal: "0", concurrencyremote: "0", concurrencyperip: "200" },
        (site) => measure(site, rig.size(reuse ? 10_000 : 6000)),
      );
      const figure = `intake, ${reuse ? "connections reused" : "new connection each"}`;
      rig.report.add({
        figure: sessions === 20 ? figure : `${figure}, ${sessions} clients`,
        unit: "/s",
        ...ours,
        peers: peer && { Postfix: peer },
      });
    }
  }
}
