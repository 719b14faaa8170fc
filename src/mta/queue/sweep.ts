/**
 * Removes what crashes left in queue/mess: spills no row names. A spill that is being received, or
 * whose row was committed after the directory was read, is never touched.
 */
import { readdir, rm } from "node:fs/promises";
import { join } from "node:path";
import type { Queue } from "./queue.ts";
import { TODO } from "./states.ts";

/** How many files went. */
export async function sweepSpills(
  mess: string,
  queue: Pick<Queue, "read">,
  receiving: ReadonlySet<number>,
): Promise<number> {
  let removed = 0;
  for (const name of await readdir(mess)) {
    const match = /^(\d{1,15})(\.envelope)?$/.exec(name);
    if (!match) continue;
    const id = Number(match[1]);
    if (receiving.has(id)) continue;
    let wanted: boolean;
    if (match[2]) {
      const [next] = await queue.read({ kind: "state", state: TODO, after: id - 1, limit: 1 });
      wanted = next === id;
    } else {
      const [row] = await queue.read({ kind: "messages", ids: [id] });
      wanted = row?.spilled === 1;
    }
    if (wanted) continue;
    await rm(join(mess, name), { force: true });
    removed++;
  }
  return removed;
}
