/**
 * The counters of a list: last message number and size, digest state, thread index state. One small
 * file each, old or new after a crash; who reads to write holds the list's `lock`. Sizes count body bytes in
 * units of 256, each message rounded to nearest. Reference ezmlm-files.md 1.4.
 */
import { overwriteFile, readOverwritten, writeFileAtomic } from "../../lib/atomic-file.ts";
import { errorText, isErrno, TemporaryError } from "../../lib/errors.ts";

interface HasPath {
  path(...names: string[]): string;
}

export interface ListNumber {
  /** Of the last message; 0 before the first. */
  readonly number: number;
  /** Of all bodies so far, in units of 256 bytes. */
  readonly cumulative: number;
}

export interface DigestState extends ListNumber {
  /** Unix seconds of the last digest; 0 when there was none. */
  readonly when: number;
}

/** Body bytes as `num` counts them. */
export function sizeUnits(bodyBytes: number): number {
  return Math.floor((bodyBytes + 128) / 256);
}

function readNumbers(list: HasPath, name: string): number[] | undefined {
  try {
    const line = readOverwritten(list.path(name)).split("\n", 1)[0] ?? "";
    return line.split(":").map((field) => Number.parseInt(field, 10) || 0);
  } catch (error) {
    if (isErrno(error, "ENOENT")) return undefined;
    throw new TemporaryError(`Unable to read ${list.path(name)}: ${errorText(error)}. (#4.3.0)`, {
      cause: error,
    });
  }
}

function writeNumbers(list: HasPath, name: string, numbers: readonly number[], temp: string): void {
  try {
    const line = `${numbers.join(":")}\n`;
    if (overwriteFile(list.path(name), line)) return;
    writeFileAtomic(list.path(name), line, { temp: list.path(temp) });
  } catch (error) {
    throw new TemporaryError(`Unable to write ${list.path(name)}: ${errorText(error)}. (#4.3.0)`, {
      cause: error,
    });
  }
}

/** `num`; undefined before the first message. */
export function findNumber(list: HasPath): ListNumber | undefined {
  const numbers = readNumbers(list, "num");
  return numbers && { number: numbers[0] ?? 0, cumulative: numbers[1] ?? 0 };
}

/** `num`; zeros before the first message. */
export function readNumber(list: HasPath): ListNumber {
  return findNumber(list) ?? { number: 0, cumulative: 0 };
}

/** Under the list's `lock`. */
export function writeNumber(list: HasPath, value: ListNumber): void {
  writeNumbers(list, "num", [value.number, value.cumulative], "numnew");
}

/** `dignum`: where the last digest ended; zeros when there was none. */
export function readDigestState(list: HasPath): DigestState {
  const [number = 0, cumulative = 0, when = 0] = readNumbers(list, "dignum") ?? [];
  return { number, cumulative, when };
}

export function writeDigestState(list: HasPath, state: DigestState): void {
  writeNumbers(list, "dignum", [state.number, state.cumulative, state.when], "dignumn");
}

/** Issue number of the last digest; 0 when there was none. */
export function readDigestIssue(list: HasPath): number {
  return readNumbers(list, "digissue")?.[0] ?? 0;
}

export function writeDigestIssue(list: HasPath, issue: number): void {
  writeNumbers(list, "digissue", [issue, 0], "digissuen");
}

/** Unix seconds at which the last automatic digest was started; undefined: never. */
export function readDigestTest(list: HasPath): number | undefined {
  return readNumbers(list, "tstdig")?.[0];
}

export function writeDigestTest(list: HasPath, seconds: number): void {
  writeNumbers(list, "tstdig", [seconds], "tstdign");
}

/** Last message in the thread index; 0 when there is none. */
export function readArchiveNumber(list: HasPath): number {
  return readNumbers(list, "archnum")?.[0] ?? 0;
}

export function writeArchiveNumber(list: HasPath, number: number): void {
  writeNumbers(list, "archnum", [number], "archnumn");
}
