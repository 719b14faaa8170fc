/**
 * The number of the last message, for programs that give the next one. `num` says it; where it was lost,
 * cut short or set back, the reservations in list.db and the messages in the archive are witnesses, so
 * that no number is given twice and no message written over. Under the list's `lock`.
 */
import { readdirSync, statSync } from "node:fs";
import { errorText, isErrno, TemporaryError } from "../../lib/errors.ts";
import type { Host } from "../../lib/program.ts";
import type { List } from "../list/list.ts";
import { type ListNumber, readDigestState, readLastNumber, writeNumber } from "../list/number.ts";
import { archivePath, isArchived } from "./archive-file.ts";

/**
 * Seconds after a reservation from which on another content of `num` is somebody's doing, not a crash: the
 * time of the file may be on disk without the bytes, and stems from a moment later.
 */
const BY_HAND_SECONDS = 60;

/** `num`, corrected where it misses messages; then standard error says so in the name of `program`. */
export function lastNumber(
  host: Pick<Host, "deliveryKey" | "stderr">,
  list: List,
  program: string,
): ListNumber {
  const { value, isWhole } = readLastNumber(list);
  const isLost = !isWhole || isTaken(list, value.number + 1);
  const corrected = isLost ? mostKnown(list, value) : redo(host, list, value);
  if (corrected.number === value.number) return value;
  writeNumber(list, corrected);
  const path = list.path("num");
  host.stderr.write(
    `${program}: warning: ${path} did not count message ${corrected.number}, and does now\n`,
  );
  return corrected;
}

/**
 * Whether the archive has a message under this number that is not to be replaced: `num` counted it once.
 * A whole file which a crash left uncounted is younger than `num` and not reserved.
 */
export function isTaken(list: List, number: number): boolean {
  const path = archivePath(list, number);
  if (!isArchived(path)) return false;
  const counted = statSync(list.path("num"), { throwIfNoEntry: false })?.mtimeMs ?? Infinity;
  return statSync(path).mtimeMs < counted || lastReserved(list) >= number;
}

/** The highest number with a whole message in the archive; 0 when there is none. */
export function lastArchived(list: List): number {
  for (const block of numericNames(list, "archive")) {
    for (const name of numericNames(list, "archive", String(block))) {
      const number = block * 100 + name;
      if (isArchived(archivePath(list, number))) return number;
    }
  }
  return 0;
}

/** The highest number anything knows of. */
function mostKnown(list: List, value: ListNumber): ListNumber {
  const number = Math.max(value.number, lastReserved(list), lastArchived(list));
  if (number === value.number) return value;
  // A size that falls back behind the last digest would put off the next one.
  const { cumulative } = readDigestState(list);
  const reserved = list.store.lastReservedPost()?.cumulative ?? 0;
  return { number, cumulative: Math.max(value.cumulative, reserved, cumulative) };
}

/**
 * What a crash left between a reservation and `num`: then the last reserved number is the next one and
 * nobody wrote `num` since.
 */
function redo(host: Pick<Host, "deliveryKey">, list: List, value: ListNumber): ListNumber {
  if (host.deliveryKey === undefined) return value;
  const last = list.store.lastReservedPost();
  if (!last || last.number !== value.number + 1) return value;
  const written = statSync(list.path("num"), { throwIfNoEntry: false })?.mtimeMs ?? 0;
  if (written / 1000 > last.seconds + BY_HAND_SECONDS) return value;
  return { number: last.number, cumulative: last.cumulative };
}

function lastReserved(list: List): number {
  return list.store.lastReservedPost()?.number ?? 0;
}

/** Names in a directory that are numbers, the highest first. */
function numericNames(list: List, ...names: string[]): number[] {
  const path = list.path(...names);
  try {
    const numbers = readdirSync(path).filter((name) => /^\d{1,13}$/.test(name));
    return numbers.map(Number).sort((one, other) => other - one);
  } catch (error) {
    if (isErrno(error, "ENOENT", "ENOTDIR")) return [];
    throw new TemporaryError(`Unable to read ${path}: ${errorText(error)}. (#4.3.0)`, {
      cause: error,
    });
  }
}
