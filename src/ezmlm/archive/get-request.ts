/**
 * What somebody wants from the archive: the grammar of `get index thread dig` addresses and the ranges
 * they mean. No files here. Reference ezmlm-formats.md 9.
 */

export type ArchiveFormat = "m" | "r" | "v" | "n" | "x";

export interface GetRequest {
  readonly word: "get" | "index" | "thread";
  /** undefined: the list's default. */
  readonly format: ArchiveFormat | undefined;
  readonly first: number | undefined;
  readonly last: number | undefined;
}

export interface Range {
  readonly from: number;
  readonly to: number;
}

/** What DEFAULT asks for; undefined: not a matter of the archive. */
export function parseGet(extension: string): GetRequest | undefined {
  if (/^digest$/i.test(extension)) {
    return { word: "get", format: undefined, first: undefined, last: undefined };
  }
  const match = /^(get|index|thread)([mrvnx]?)(?:$|[._-](.*)$|(?=\d)(.*)$)/is.exec(extension);
  if (!match) return undefined;
  const numbers = /^(\d{1,9})(?!\d)(?:\D(\d{1,9})(?!\d))?/s.exec(match[3] ?? match[4] ?? "");
  return {
    word: (match[1] ?? "").toLowerCase() as GetRequest["word"],
    format: match[2] ? (match[2].toLowerCase() as ArchiveFormat) : undefined,
    first: numbers?.[1] === undefined ? undefined : Number(numbers[1]),
    last: numbers?.[2] === undefined ? undefined : Number(numbers[2]),
  };
}

/** `dig.CODE[F]`: the part after the separator; undefined: no digest command. */
export function parseDigest(extension: string): string | undefined {
  const match = /^dig(?:$|[._-](.*)$)/is.exec(extension);
  return match ? (match[1] ?? "") : undefined;
}

const mostMessages = 100;
const mostIndexed = 2000;

/** Messages a `get` means. `max` is the last message, `digested` where the last digest ended (0: none). */
export function getRange(request: GetRequest, max: number, digested: number): Range {
  const { first, last } = request;
  const clamp = (number: number): number => Math.min(Math.max(number, 1), max);
  if (first === undefined) {
    const from = digested > 0 ? digested : max - 30;
    return { from: Math.max(clamp(from), max - mostMessages + 1, 1), to: max };
  }
  if (first > max) {
    return last === undefined
      ? { from: max, to: max }
      : { from: clamp(digested > 0 ? digested - 30 : max - 30), to: max };
  }
  const from = clamp(first);
  const to = Math.max(from, clamp(last ?? from));
  return { from, to: Math.min(to, from + mostMessages - 1) };
}

/** Whole hundreds an `index` means. */
export function indexRange(request: GetRequest, max: number): Range {
  const first = request.first ?? Math.max(1, max - 100);
  const from = Math.min(Math.max(first, 1), max);
  const to = Math.min(
    Math.max(request.last ?? (request.first === undefined ? max : from), from),
    from + mostIndexed,
    max,
  );
  const block = (number: number): number => Math.floor(number / 100) * 100;
  return { from: Math.max(1, block(from)), to: Math.min(max, block(to) + 99) };
}

/** Where the messages of a thread are looked for. */
export function threadRange(number: number, max: number): Range {
  return { from: Math.max(1, number - mostIndexed), to: Math.min(max, number + mostIndexed) };
}
