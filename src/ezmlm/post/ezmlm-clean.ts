/**
 * NAME         ezmlm-clean - end the wait of posts nobody decided on
 * SYNOPSIS     ezmlm-clean [-mMrRvV] DIR
 * DESCRIPTION  Looks through DIR/mod/pending, unconfirmed, accepted and rejected. What is older than
 *              DIR/modtime hours (default 120, at least 24, at most 240; the age is in the name) goes:
 *              a pending post back to its sender with a notice, the rest silently. A read-only file
 *              stays; so does a file that is not named TS.PID. A post that the queue refuses to take
 *              back stays for as long again.
 * OPTIONS      -r  return pending posts (default). -R  drop them (default with DIR/noreturnposts).
 *              -m  enclose a returned post as a MIME part (default). -M  append it.
 *              -v, -V  print the version.
 * ENVIRONMENT  None.
 * FILES        modtime noreturnposts mod/ mod/lock text/top text/mod-timeout
 * EXIT CODES   0 done. 100 wrong command line, or a post cannot be returned. 111 temporary.
 * SEE ALSO     ezmlm-store, ezmlm-moderate
 */
import { rmSync, statSync } from "node:fs";
import { unixSeconds } from "../../lib/date822.ts";
import { PermanentError } from "../../lib/errors.ts";
import { SUCCESS } from "../../lib/exit-code.ts";
import { OptionTable } from "../../lib/option.ts";
import type { Host } from "../../lib/program.ts";
import { inTurns } from "../list/in-turns.ts";
import type { List } from "../list/list.ts";
import { listProgram } from "../list/list-program.ts";
import { namesIn } from "../list/quiet-directory.ts";
import { versionRows } from "../list/version.ts";
import { returnExpired } from "./moderation-mail.ts";
import { isDecided, storedSender } from "./waiting-room.ts";

const options = new OptionTable(
  "ezmlm-clean",
  [
    { letter: "m", help: "enclose as a MIME part (default)" },
    { letter: "M", help: "append plainly", negates: "m" },
    { letter: "r", help: "return pending posts (default)" },
    { letter: "R", help: "drop them", negates: "r" },
    ...versionRows,
  ],
  "DIR",
);

export const ezmlmClean = listProgram(options, async (host, list, parsed) => {
  const before = unixSeconds(host.now()) - 3600 * waitHours(list);
  // Nearly every post finds nothing to do, and need not wait for the lock to see that.
  if (expired(list, before).length === 0) return SUCCESS;
  const returns = parsed.flag("r") ?? !list.has("noreturnposts");
  const isMultipart = parsed.flag("m") !== false;
  const cleaning: Cleaning = { before, returns, isMultipart, tried: new Set() };
  await inTurns(host, list, "mod/lock", (isOver) => clean(host, list, cleaning, isOver));
  if (cleaning.refusal) throw cleaning.refusal;
  return SUCCESS;
});

interface Cleaning {
  /** Seconds; what came earlier has waited long enough. */
  readonly before: number;
  readonly returns: boolean;
  readonly isMultipart: boolean;
  /** Paths looked at: what stays is not looked at again in this run. */
  readonly tried: Set<string>;
  /** Of the queue, for good; the first one. */
  refusal?: PermanentError;
}

/** True: everything was looked at. */
async function clean(
  host: Host,
  list: List,
  cleaning: Cleaning,
  isOver: () => boolean,
): Promise<boolean> {
  const { before, returns, isMultipart, tried } = cleaning;
  for (const { place, name } of expired(list, before)) {
    const path = list.path("mod", place, name);
    if (tried.has(path)) continue;
    if (isOver()) return false;
    tried.add(path);
    const mode = statSync(path, { throwIfNoEntry: false })?.mode ?? 0;
    if ((mode & 0o200) === 0) continue;
    // A stub says that a crash alone left the post here.
    const isOpen = (mode & 0o100) !== 0 && !isDecided(list, name);
    if (place === "pending" && returns && isOpen) {
      try {
        await giveBack(host, list, { name, path, isMultipart });
      } catch (error) {
        if (!(error instanceof PermanentError)) throw error;
        // The posts behind it must not wait for what cannot be; somebody may mend it until then.
        cleaning.refusal ??= error;
        if (secondsOf(name) >= before - 3600 * waitHours(list)) continue;
      }
    }
    rmSync(path, { force: true });
  }
  return true;
}

async function giveBack(
  host: Host,
  list: List,
  post: { readonly name: string; readonly path: string; readonly isMultipart: boolean },
): Promise<void> {
  const { name, path, isMultipart } = post;
  const sender = await storedSender(path);
  if (sender === "") return;
  const request = { name, sender, path, headerOnly: false, multipart: isMultipart };
  const receipt = await returnExpired(host, list, request);
  host.stderr.write(`ezmlm-clean: info: qp ${receipt.id}\n`);
}

function waitHours(list: List): number {
  const hours = list.numberLine("modtime") ?? 0;
  return hours === 0 ? 120 : Math.min(240, Math.max(24, hours));
}

interface Waiting {
  readonly place: string;
  readonly name: string;
}

function expired(list: List, before: number): Waiting[] {
  return ["pending", "accepted", "rejected", "unconfirmed"].flatMap((place) =>
    namesIn(list.path("mod", place))
      .filter((name) => secondsOf(name) < before && /^\d+\.\d+$/.test(name))
      .sort()
      .map((name) => ({ place, name })),
  );
}

/** When the post came. */
function secondsOf(name: string): number {
  return Number.parseInt(name, 10);
}
