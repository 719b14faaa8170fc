/**
 * The counters of a list: last message number and size, digest state, thread index state. One small
 * file each, old or new after a crash; who reads to write holds the list's `lock`. Sizes count body bytes in
 * units of 256, each message rounded to nearest. People write these files, too, so what follows the numbers
 * is left alone; a file that begins with no number is trouble for a human: TemporaryError with its name.
 * Reference ezmlm-files.md 1.4.
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

/** A line of counters as their owner wrote it, and whether it ends in the line feed each writer puts there. */
interface CounterLine {
  readonly numbers: readonly number[];
  readonly isWhole: boolean;
}

/** Of a counter; JavaScript counts exactly up to some number of 16. */
const MOST_DIGITS = 15;

/**
 * The first `count` numbers of a file, fewer when it has fewer. Undefined: no such file, or nothing in it, as
 * trouble of a disk leaves it.
 */
function readCounters(list: HasPath, name: string, count: number): CounterLine | undefined {
  const path = list.path(name);
  try {
    const text = readOverwritten(path);
    const line = text.split("\n", 1)[0] ?? "";
    if (/^[\0\s]*$/.test(text)) return undefined;
    const leading = /^[ \t]*(\d+(?:[ \t]*:[ \t]*\d*)*)/.exec(line)?.[1];
    const fields = leading?.split(/[ \t]*:[ \t]*/, count) ?? [];
    const isNumber = fields.length > 0 && fields.every((field) => field.length <= MOST_DIGITS);
    if (!isNumber) throw damaged(path, line);
    return { numbers: fields.map(Number), isWhole: text.length > line.length };
  } catch (error) {
    if (isErrno(error, "ENOENT")) return undefined;
    if (error instanceof TemporaryError) throw error;
    throw new TemporaryError(`Unable to read ${path}: ${errorText(error)}. (#4.3.0)`, {
      cause: error,
    });
  }
}

/** Whoever guessed here would give a number twice, or one that nobody can count on from. */
function damaged(path: string, line: string): TemporaryError {
  const what = path.endsWith("/num") ? "the number of the last message and a size" : "numbers";
  return new TemporaryError(
    `${path} is damaged: it says ${JSON.stringify(line.slice(0, 60))} where ${what} should stand, as 12:345. (#4.3.5)`,
  );
}

function readNumbers(list: HasPath, name: string, count: number): readonly number[] | undefined {
  return readCounters(list, name, count)?.numbers;
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
  const numbers = readNumbers(list, "num", 2);
  return numbers && { number: numbers[0] ?? 0, cumulative: numbers[1] ?? 0 };
}

/** `num`; zeros before the first message. */
export function readNumber(list: HasPath): ListNumber {
  return findNumber(list) ?? { number: 0, cumulative: 0 };
}

/** `num`, and whether it is there up to its line feed: if not, its number may be too small. */
export function readLastNumber(list: HasPath): { value: ListNumber; isWhole: boolean } {
  const { numbers = [], isWhole = false } = readCounters(list, "num", 2) ?? {};
  return { value: { number: numbers[0] ?? 0, cumulative: numbers[1] ?? 0 }, isWhole };
}

/** Under the list's `lock`. */
export function writeNumber(list: HasPath, value: ListNumber): void {
  writeNumbers(list, "num", [value.number, value.cumulative], "numnew");
}

/** `dignum`: where the last digest ended; zeros when there was none. */
export function readDigestState(list: HasPath): DigestState {
  const [number = 0, cumulative = 0, when = 0] = readNumbers(list, "dignum", 3) ?? [];
  return { number, cumulative, when };
}

export function writeDigestState(list: HasPath, state: DigestState): void {
  writeNumbers(list, "dignum", [state.number, state.cumulative, state.when], "dignumn");
}

/** Issue number of the last digest; 0 when there was none. */
export function readDigestIssue(list: HasPath): number {
  return readNumbers(list, "digissue", 1)?.[0] ?? 0;
}

export function writeDigestIssue(list: HasPath, issue: number): void {
  writeNumbers(list, "digissue", [issue, 0], "digissuen");
}

/** Unix seconds at which the last automatic digest was started; undefined: never. */
export function readDigestTest(list: HasPath): number | undefined {
  return readNumbers(list, "tstdig", 1)?.[0];
}

export function writeDigestTest(list: HasPath, seconds: number): void {
  writeNumbers(list, "tstdig", [seconds], "tstdign");
}

/** Last message in the thread index; 0 when there is none. */
export function readArchiveNumber(list: HasPath): number {
  return readNumbers(list, "archnum", 1)?.[0] ?? 0;
}

export function writeArchiveNumber(list: HasPath, number: number): void {
  writeNumbers(list, "archnum", [number], "archnumn");
}
