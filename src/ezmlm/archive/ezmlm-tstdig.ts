/**
 * NAME         ezmlm-tstdig - test whether a digest is due
 * SYNOPSIS     ezmlm-tstdig [-vV] [-k KB] [-m messages] [-t hours] DIR
 * DESCRIPTION  Stands before ezmlm-get in DIR/editor or DIR/manager, or in a
 *              script. A digest is due when since the last one there were that
 *              many messages, that many kilobytes of text, or that many hours
 *              went by. 0 switches a test off; all three 0 means never.
 *              In DIR/manager it says nothing about mail that is no dig
 *              command. In DIR/editor it starts at most one digest an hour.
 * OPTIONS      -k KB  (file digsize, else 64)
 *              -m messages  (file digcount, else 30)
 *              -t hours  (file digtime, else 48)
 *              -v, -V  print the version
 * ENVIRONMENT  LOCAL, DEFAULT
 * FILES        num dignum tstdig digsize digcount digtime lock
 * EXIT CODES   0 due, or not a digest command. 99 not due. 100 wrong use.
 *              111 try again.
 * SEE ALSO     ezmlm-get
 */
import { asciiLower } from "../../lib/address.ts";
import { unixSeconds } from "../../lib/date822.ts";
import { type ExitCode, STOP, SUCCESS } from "../../lib/exit-code.ts";
import { OptionTable } from "../../lib/option.ts";
import type { Host } from "../../lib/program.ts";
import type { List } from "../list/list.ts";
import { listProgram } from "../list/list-program.ts";
import { findNumber, readDigestState, readDigestTest, writeDigestTest } from "../list/number.ts";
import { versionRows } from "../list/version.ts";

const table = new OptionTable(
  "ezmlm-tstdig",
  [
    { letter: "k", argument: "KB", help: "kilobytes of text since the last digest" },
    { letter: "m", argument: "messages", help: "messages since the last digest" },
    { letter: "t", argument: "hours", help: "hours since the last digest" },
    ...versionRows,
  ],
  "DIR",
);

interface Thresholds {
  readonly kilobytes: number;
  readonly messages: number;
  readonly hours: number;
}

export const ezmlmTstdig = listProgram(table, async (host, list, parsed) => {
  const number = (letter: string): number | undefined => {
    const text = parsed.value(letter);
    if (text === undefined) return undefined;
    if (!/^\d{1,9}$/.test(text)) throw table.error(`-${letter} wants a number`);
    return Number(text);
  };
  const { LOCAL = "", DEFAULT } = host.env;
  const word = asciiLower(DEFAULT ?? "");
  if (LOCAL !== "" && word !== "" && (!word.startsWith("dig") || word.startsWith("digest-"))) {
    return SUCCESS;
  }
  const limits = {
    kilobytes: number("k") ?? list.numberLine("digsize") ?? 64,
    messages: number("m") ?? list.numberLine("digcount") ?? 30,
    hours: number("t") ?? list.numberLine("digtime") ?? 48,
  };
  const isEditor = LOCAL !== "" && DEFAULT === undefined;
  return await list.withLock("lock", async () => test(host, list, limits, isEditor));
});

function test(host: Host, list: List, limits: Thresholds, isEditor: boolean): ExitCode {
  const last = findNumber(list);
  if (!last) return STOP;
  const digest = readDigestState(list);
  const now = unixSeconds(host.now());
  const isDue =
    (limits.hours > 0 && digest.when + limits.hours * 3600 <= now) ||
    // Sizes are in units of 256 bytes.
    (limits.kilobytes > 0 && digest.cumulative + limits.kilobytes * 4 <= last.cumulative) ||
    (limits.messages > 0 && digest.number + limits.messages <= last.number);
  if (!isDue) return STOP;
  if (!isEditor) return SUCCESS;
  // Several posts at once must not start several digests.
  const started = readDigestTest(list);
  if (started !== undefined && started > digest.when && started + 3600 >= now) return STOP;
  writeDigestTest(list, now);
  return SUCCESS;
}
