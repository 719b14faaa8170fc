import { readdirSync } from "node:fs";
import { join } from "node:path";
import { sleep } from "../measure.mjs";
import { sent } from "../postfix.mjs";
import { filed } from "../site.mjs";
import { generate } from "../smtp.mjs";

export const what =
  "messages/s from SMTP into a Maildir, with an fsync of file and directory each: a connection each or reused, 20 and 100 clients";

export async function run(rig) {
  const count = rig.size(4000);
  const warmUp = rig.size(10_000);
  const ways = [
    ["intake to Maildir", { sessions: 20 }],
    ["intake to Maildir, 100 clients", { sessions: 100 }],
    ["intake to Maildir, connections reused", { sessions: 20, reuse: true }],
    ["intake to Maildir, connections reused, 100 clients", { sessions: 100, reuse: true }],
  ];
  for (const [figure, options] of ways) {
    const measure = async (server, text, count) => {
      const done = server.log.occurrences(text, count);
      const { seconds, cpu, memory } = await server.tree.price(
        count,
        () => Promise.all([done, generate(server.port, count, options)]),
        300,
      );
      return { value: count / seconds, cpu, memory };
    };
    const peer = await rig.postfix({}, async (postfix) => {
      await generate(postfix.port, rig.size(200));
      await sleep(500);
      return measure(postfix, sent, rig.size(1000));
    });
    const ours = (how) =>
      rig.site(
        { concurrencylocal: "100", concurrencyperip: "200" },
        async (site) => {
          // A server that has just started compiles more than it delivers.
          const warm = site.log.occurrences(filed, warmUp);
          await generate(site.port, warmUp, options);
          await warm;
          const figures = await measure(site, filed, count);
          const files = readdirSync(join(site.mail, "Maildir", "new")).length;
          if (files !== count + warmUp) throw new Error(`${files} files in the Maildir`);
          return figures;
        },
        how,
      );
    rig.report.add({ figure, unit: "/s", ...(await ours()), peers: peer && { Postfix: peer } });
    // With the accounts qmail-lspawn is root, which relays no content: workers fetch what they deliver.
    if (process.getuid() === 0) {
      const figures = await ours({ accounts: true });
      rig.report.add({ figure: `${figure}, a uid for each process`, unit: "/s", ...figures });
    }
  }
}
