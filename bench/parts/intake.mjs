import { generate, pipeline } from "../smtp.mjs";

export const what =
  "messages/s that get a durable 250, 2 KB, deliveries held, 20 and 100 clients: each on a connection of its own, connections reused, and pipelining as servers do";

const held = { smtpd_client_restrictions: "check_client_access static:HOLD" };
const withoutDeliveries = {
  concurrencylocal: "0",
  concurrencyremote: "0",
  concurrencyperip: "200",
};

/** What smtp-source hands in, which waits for every answer. */
const fromSource = (options) => async (server, messages) => {
  // A server that has just started compiles more than it takes.
  await generate(server.port, messages * 2, options);
  const { seconds, cpu } = await server.tree.price(messages, () =>
    generate(server.port, messages, options),
  );
  return { value: messages / seconds, cpu };
};

/** What a client hands in that does not. */
const fromPipeline = (options) => async (server, messages) => {
  const { result, cpu } = await server.tree.price(messages * 3, () =>
    pipeline(server.port, messages, messages * 2, options),
  );
  return { value: result, cpu };
};

/** Clients that write at the same time share a commit: how many there are decides much. */
export async function run(rig) {
  for (const sessions of [20, 100]) {
    const ways = [
      ["new connection each", fromSource({ sessions }), 6000],
      ["connections reused", fromSource({ sessions, reuse: true }), 10_000],
      ["connections reused, pipelining", fromPipeline({ sessions }), 20_000],
    ];
    for (const [way, measure, messages] of ways) {
      const peer = await rig.postfix(held, (postfix) => measure(postfix, rig.size(800)));
      const ours = await rig.site(withoutDeliveries, (site) => measure(site, rig.size(messages)));
      rig.report.add({
        figure: `intake, ${way}${sessions === 20 ? "" : `, ${sessions} clients`}`,
        unit: "/s",
        ...ours,
        peers: peer && { Postfix: peer },
      });
    }
  }
}
