import { sent } from "../postfix.mjs";
import { taken } from "../site.mjs";
import { generate } from "../smtp.mjs";

export const what = "messages/s from SMTP in to SMTP out, a message for each recipient";

export async function run(rig) {
  const measure = async (server, text, count) => {
    const run = async (messages) => {
      const done = server.log.occurrences(text, messages);
      await generate(server.port, messages, { to: "box@remote.test" });
      await done;
    };
    await run(Math.ceil(count / 4));
    const { seconds, cpu, memory } = await server.tree.price(count, () => run(count), 300);
    return { value: count / seconds, cpu, memory };
  };
  await rig.withSink(async (sink) => {
    const peer = await rig.postfix({ relayhost: `[127.0.0.1]:${sink.port}` }, (postfix) =>
      measure(postfix, sent, rig.size(1000)),
    );
    const ours = await rig.site({ smtproutes: `:127.0.0.1:${sink.port}` }, (site) =>
      measure(site, taken, rig.size(3000)),
    );
    const peers = peer && { Postfix: peer };
    rig.report.add({ figure: "intake and relay", unit: "/s", ...ours, peers });
  });
}
