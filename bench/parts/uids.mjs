import { chownSync, mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { spread } from "../fanout.mjs";
import { percentiles } from "../measure.mjs";
import { filed } from "../site.mjs";
import { clock, mailText, Sender } from "../smtp.mjs";

export const what =
  "one mail each to 1,000 local users, each a uid of its own, none with a worker yet (root)";
export const long = true;

export async function run(rig) {
  if (process.getuid() !== 0) return rig.report.note("uids: only root can deliver as other users");
  const users = rig.size(1000, 5);
  // Accounts need not exist: users/assign says all there is to know.
  const uid = (n) => 200_000 + n;
  const lines = (base) =>
    Array.from({ length: users }, (_, n) => `=u${n}:u${n}:${uid(n)}:${uid(n)}:${base}/u${n}:::\n`);
  await rig.site(
    { concurrencylocal: "100" },
    async (site) => {
      for (let n = 0; n < users; n++) {
        const home = join(site.base, "homes", `u${n}`);
        for (const dir of ["tmp", "new", "cur"])
          mkdirSync(join(home, "Maildir", dir), { recursive: true });
        writeFileSync(join(home, ".qmail"), "./Maildir/\n");
        for (const path of [home, join(home, ".qmail"), join(home, "Maildir")])
          chownSync(path, uid(n), uid(n));
        for (const dir of ["tmp", "new", "cur"])
          chownSync(join(home, "Maildir", dir), uid(n), uid(n));
      }
      const people = Array.from({ length: users }, (_, n) => `u${n}@bench.test`);
      const send = async () => {
        const connection = await new Sender(site.port).open();
        const { at } = await connection.send(
          "ann@elsewhere.example",
          people,
          mailText("a@b.example", "all"),
        );
        connection.close();
        return at;
      };
      const cold = await spread(site, filed, users, send);
      const workers = site.tree.most.worker;
      rig.report.add({
        figure: `cold delivery to ${users} uids`,
        unit: "/s",
        ...cold,
        note: `${cold.seconds.toFixed(1)} s; at most ${workers} workers at once`,
      });
      rig.report.add({
        figure: `memory during cold delivery to ${users} uids`,
        value: Object.values(cold.memory).reduce((sum, size) => sum + size, 0),
        unit: "MB",
      });
      const waits = [];
      for (let n = 0; n < rig.size(20, 2); n++) {
        const done = site.log.occurrences(filed);
        const connection = await new Sender(site.port).open();
        await connection.send("ann@elsewhere.example", [people[0]], mailText("a@b.example", "u0"));
        const began = clock();
        await done;
        waits.push(clock() - began);
        connection.close();
      }
      rig.report.add({
        figure: "delivery to a uid with a worker",
        unit: "ms",
        latency: percentiles(waits),
      });
    },
    { accounts: true, assign: (base) => lines(join(base, "homes")).join("") },
  );
}
