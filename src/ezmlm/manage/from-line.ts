/**
 * `DIR/from`: From lines of people who wait for a moderator, so that the Log names them when they are
 * added. Lines `TS target NUL from`; older ones than a confirmation are dropped. Under the list's lock.
 */
import { readFileSync } from "node:fs";
import { writeFileAtomic } from "../../lib/atomic-file.ts";
import { isErrno } from "../../lib/errors.ts";
import { confirmSeconds } from "./confirmation.ts";
import { fromLine, type ManageContext } from "./context.ts";

interface Entry {
  readonly seconds: number;
  readonly target: string;
  readonly from: string;
}

/** Keep the From line of this request for its target. */
export async function rememberFrom(context: ManageContext): Promise<void> {
  const from = fromLine(context)
    .replace(/[\n\0]/g, " ")
    .slice(0, 1000);
  if (from === "") return;
  const { list, target, now } = context;
  await list.withLock("lock", async () => {
    const kept = readEntries(context).filter((entry) => entry.seconds + confirmSeconds > now);
    const entries = [
      ...kept.filter((entry) => entry.target !== target),
      { seconds: now, target, from },
    ];
    const text = entries.map((e) => `${e.seconds} ${e.target}\0${e.from}\n`).join("");
    writeFileAtomic(list.path("from"), text, { temp: list.path("fromn") });
  });
}

/** What was remembered for the target; "" when nothing was. */
export function recallFrom(context: ManageContext): string {
  if (!context.options.recordFrom) return "";
  return readEntries(context).findLast((entry) => entry.target === context.target)?.from ?? "";
}

function readEntries(context: ManageContext): Entry[] {
  let text: string;
  try {
    text = readFileSync(context.list.path("from"), "utf8");
  } catch (error) {
    if (isErrno(error, "ENOENT")) return [];
    throw error;
  }
  return text.split("\n").flatMap((line) => {
    const match = /^(\d+) ([^\0]+)\0(.*)$/s.exec(line);
    return match
      ? [{ seconds: Number(match[1]), target: match[2] ?? "", from: match[3] ?? "" }]
      : [];
  });
}
