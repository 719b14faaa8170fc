/**
 * NAME         ezmlm-warn - warn subscribers whose mail comes back
 * SYNOPSIS     ezmlm-warn [-dDvV] [-l seconds] [-t days] DIR
 * DESCRIPTION  Looks through the bounces that ezmlm-return has recorded. A subscriber whose first
 *              bounce is older than the timeout gets a warning with the numbers of the lost posts and
 *              a copy of the bounce. When the warning came back, and that is older than the timeout,
 *              the subscriber gets a probe; when the probe comes back ezmlm-return takes the address
 *              off the list. Bounces of addresses that are no subscribers any more are forgotten.
 *              Stands at the end of DIR/editor, DIR/manager, DIR/moderator and DIR/confirmer, so that
 *              mail to the list drives it; it does nothing when the last look was not long ago, and
 *              after ten seconds leaves the rest for the next message. May be run by cron instead. Serves main list and digest unless told otherwise.
 * OPTIONS      -d  only the digest list. -D  only the main list.
 *              -l seconds  do nothing when the last look is younger (default: timeout / 50).
 *              -t days  timeout (default 10); 0 takes everything there is.
 *              -v, -V  print the version.
 * FILES        DIR/bounce/, DIR/digest/bounce/, lockbounce beside them. nowarn: do nothing.
 *              copylines: lines of the body of the bounce that are copied, default 0.
 *              text/top bounce-warn bounce-num dig-bounce-num bounce-probe bounce-bottom
 * EXIT CODES   0 done, `info: qp ID` on stderr for each mail; also when nothing was due. 100 wrong
 *              use, or DIR is no list. 111 temporary: what is left is done the next time.
 * DIAGNOSTICS  warning: bounce NAME: TEXT  the queue refused this mail for good; the bounce is dropped.
 * SEE ALSO     ezmlm-return, ezmlm-weed, ezmlm-make
 */
import { existsSync } from "node:fs";
import { join, resolve } from "node:path";
import { asciiLower } from "../../lib/address.ts";
import { unixSeconds } from "../../lib/date822.ts";
import { PermanentError, TemporaryError } from "../../lib/errors.ts";
import { type ExitCode, SUCCESS } from "../../lib/exit-code.ts";
import { OptionTable, type ParsedOptions } from "../../lib/option.ts";
import type { Host, Program } from "../../lib/program.ts";
import { inTurns } from "../list/in-turns.ts";
import { type List, openList } from "../list/list.ts";
import { printVersion, versionRows, wantsVersion } from "../list/version.ts";
import { sendReply } from "../reply/compose.ts";
import { BounceStore, type StoredBounce } from "./bounce-store.ts";
import { composeWarning } from "./warning-mail.ts";

const DAY_SECONDS = 86_400;
const DEFAULT_DAYS = 10;

const options = new OptionTable(
  "ezmlm-warn",
  [
    { letter: "d", help: "only the digest list" },
    { letter: "D", help: "only the main list", negates: "d" },
    { letter: "l", argument: "seconds", help: "do nothing when the last look is younger" },
    { letter: "t", argument: "days", help: "age of bounces that count" },
    ...versionRows,
  ],
  "DIR",
);

export const ezmlmWarn: Program = {
  name: "ezmlm-warn",
  usage: options.usage,
  runAs: (host) => options.parse(host.args).rest[0],
  async run(host: Host): Promise<ExitCode> {
    const parsed = options.parse(host.args);
    if (wantsVersion(parsed)) return printVersion(host);
    const [dir, ...more] = parsed.rest;
    if (dir === undefined || more.length > 0) throw options.error();
    const timeoutSeconds = (count(parsed, "t") ?? DEFAULT_DAYS) * DAY_SECONDS;
    const lockoutSeconds = count(parsed, "l") ?? Math.floor(timeoutSeconds / 50);
    // Every post comes through here: most of the time two small files say that nothing is to do.
    const due = databases(parsed.flag("d"), resolve(host.cwd, dir)).filter(
      ({ store }) => !isLockedOut(store, host.now(), lockoutSeconds),
    );
    if (due.length === 0) return SUCCESS;
    const list = await openList(host, dir);
    try {
      if (list.has("nowarn")) return SUCCESS;
      for (const { db, store } of due) {
        const lock = db === "" ? "lockbounce" : `${db}/lockbounce`;
        const look = new Look(host, list, db, store, timeoutSeconds);
        await inTurns(host, list, lock, async (isOver) => {
          // Another delivery may have been here while we waited.
          if (isLockedOut(store, host.now(), lockoutSeconds)) return true;
          return look.turn(isOver);
        });
      }
      return SUCCESS;
    } finally {
      list.close();
    }
  },
};

function count(parsed: ParsedOptions, letter: string): number | undefined {
  const text = parsed.value(letter);
  if (text === undefined) return undefined;
  if (!/^\d{1,9}$/.test(text)) throw options.error(`-${letter} wants a number`);
  return Number(text);
}

interface Watched {
  readonly db: "" | "digest";
  readonly store: BounceStore;
}

/** Main list, digest or both, as `digest` says; a list without directory `digest` has none. */
function databases(digest: boolean | undefined, dir: string): Watched[] {
  const found: Watched[] = [];
  if (digest !== true) found.push({ db: "", store: new BounceStore(join(dir, "bounce")) });
  if (digest !== false && existsSync(join(dir, "digest"))) {
    found.push({ db: "digest", store: new BounceStore(join(dir, "digest", "bounce")) });
  }
  return found;
}

/** A last look in the future is a clock that was set back: it does not lock out. */
function isLockedOut(store: BounceStore, date: Date, lockoutSeconds: number): boolean {
  const now = unixSeconds(date);
  const last = store.lastScan();
  return last <= now && last + lockoutSeconds > now;
}

/** One look through the bounces of one database, in turns under its `lockbounce`. */
class Look {
  private readonly host: Host;
  private readonly list: List;
  private readonly db: string;
  private readonly store: BounceStore;
  private readonly timeoutSeconds: number;
  /** What is left. Found when the look began: some of it another delivery may have handled since. */
  private readonly left: Iterator<StoredBounce>;
  /** Kinds and addresses seen: two bounces of one mail are one. */
  private readonly seen = new Set<string>();

  constructor(host: Host, list: List, db: string, store: BounceStore, timeoutSeconds: number) {
    this.host = host;
    this.list = list;
    this.db = db;
    this.store = store;
    this.timeoutSeconds = timeoutSeconds;
    this.left = store.due(unixSeconds(host.now()), timeoutSeconds);
  }

  /** True: the look has come to its end. */
  async turn(isOver: () => boolean): Promise<boolean> {
    const { host, store, timeoutSeconds } = this;
    for (let next = this.left.next(); !next.done; next = this.left.next()) {
      if (host.signal.aborted) throw new TemporaryError("Interrupted. (#4.3.2)");
      await this.handle(next.value);
      if (isOver()) return false;
    }
    // Only now: a look that was cut short is taken up by the next message.
    store.writeLastScan(unixSeconds(host.now()));
    store.cleanNumbers(host.now(), timeoutSeconds);
    return true;
  }

  private async handle(stored: StoredBounce): Promise<void> {
    const { store } = this;
    const text = store.read(stored);
    if (!text) return;
    const { address, bounce } = text;
    const isFirst = stored.kind === "first";
    const key = `${stored.kind} ${asciiLower(address)}`;
    if (!this.seen.has(key) && (await this.isSubscriber(address))) {
      await this.send(stored, address, bounce);
      this.seen.add(key);
    }
    // Numbers first: numbers without a bounce would keep the next bounce from being recorded.
    if (isFirst) store.removeNumbers(address);
    store.remove(stored);
  }

  /** Entries `@domain` get no posts, so nobody there is warned. */
  private async isSubscriber(address: string): Promise<boolean> {
    const entry = await this.list.db(this.db).has(address);
    return entry !== undefined && !entry.startsWith("@");
  }

  private async send(stored: StoredBounce, address: string, bounce: Buffer): Promise<void> {
    const { host, list, db } = this;
    const isFirst = stored.kind === "first";
    const workdir = db === "" ? "" : `${db}/`;
    const mail = composeWarning(host, list, {
      kind: isFirst ? "warning" : "probe",
      address,
      db,
      bounce,
      numbers: isFirst ? (this.store.numbers(address) ?? "") : "",
      key: `${workdir}${stored.name}`,
    });
    try {
      const receipt = await sendReply(host, list, mail);
      host.stderr.write(`ezmlm-warn: info: qp ${receipt.id}\n`);
    } catch (error) {
      // One mail that can never be sent, say for the virus in the bounce, must not stop all others.
      if (!(error instanceof PermanentError)) throw error;
      host.stderr.write(`ezmlm-warn: warning: bounce ${stored.name}: ${error.message}\n`);
    }
  }
}
