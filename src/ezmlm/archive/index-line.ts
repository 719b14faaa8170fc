/**
 * What the archive index says about a message: subject and author reduced so that a thread and a
 * writer are found again, each with its hash, two lines per message. Reference ezmlm-formats.md 8.
 * Text is UTF-8; hashes are taken over the bytes as they were inside encoded words, as always, so
 * that old and new messages of a thread stay together. Strings called bytes hold one byte per char.
 */
import { trimBlanks, trimBlanksEnd, trimBlanksStart } from "../../lib/blanks.ts";
import { fieldBytes, findField, type HeaderField } from "../../lib/header.ts";
import { textHash } from "../list/surf.ts";
import { decodeWordBytes } from "./word-bytes.ts";

/** Longer values are cut: nobody reads them, and patterns shall not walk through them. */
const VALUE_LIMIT = 4096;

export interface SubjectKey {
  /** Without reply marks and list prefix. */
  readonly text: string;
  readonly hash: string;
  readonly isReply: boolean;
  /** Whether the list's prefix stood among the leading marks. */
  readonly hasPrefix: boolean;
}

export interface AuthorKey {
  /** Display name, or the address with `.` for `@`. */
  readonly text: string;
  readonly hash: string;
}

export interface IndexEntry {
  readonly number: number;
  readonly subject: SubjectKey;
  readonly author: AuthorKey;
  /** `14 Nov 2023 22:13:20 -0000`, or "". */
  readonly date: string;
}

/** Reply and forward marks of mail programs in many languages. */
const marks =
  "re aw sv vs vl vb ant antw odp pd fw fwd wg doorst tr rv res enc ref rif i r ynt ilt atb hal bls " +
  "továbbítás vá ré rép 答复 回复 回覆 返信 转发 轉寄 답장";
const markPattern = new RegExp(
  `^(?:${utf8Bytes(marks).split(" ").join("|")})` +
    "[ \\t]*(?:(?:\\[\\d+\\]|\\(\\d+\\)|[\\^*-]?\\d+)[ \\t]*)?" +
    `(?::|${utf8Bytes("：")})`,
  "i",
);

function utf8Bytes(text: string): string {
  return Buffer.from(text).toString("latin1");
}

/** Bytes as UTF-8 when they are, else as Latin-1; control characters become blanks. */
function printable(bytes: string): string {
  const text = Buffer.from(bytes, "latin1").toString("utf8");
  const sound = text.includes("\ufffd") ? bytes : text;
  return trimBlanks(sound.replace(/[^\x20-\x7e\u00a0-\u{10ffff}]/gu, " "));
}

/** `prefix` as in DIR/prefix: the last `#` stands for digits, blanks do not count. */
export function prefixPattern(prefix: string): RegExp {
  const bare = [...decodeWordBytes(utf8Bytes(prefix), "raw").replace(/[ \t]/g, "")];
  const mark = bare.lastIndexOf("#");
  // Blanks are for one quantifier alone: two side by side share them out in every way there is.
  const between = (at: number): string => (at === 0 || at === mark + 1 ? "" : "[ \\t]*");
  const parts = bare.map((char, at) =>
    at === mark ? "[\\d \\t]*" : between(at) + char.replace(/[\\^$.*+?()[\]{}|/-]/g, "\\$&"),
  );
  return new RegExp(`^${parts.join("")}`);
}

interface Stripped {
  readonly bytes: string;
  readonly isReply: boolean;
  readonly hasPrefix: boolean;
}

function strip(decoded: string, prefix: RegExp | undefined): Stripped {
  let bytes = decoded.replace(/[^\x20-\xff]/g, " ");
  let isReply = false;
  let hasPrefix = false;
  for (;;) {
    bytes = trimBlanksEnd(bytes);
    if (!/-reply$/i.test(bytes)) break;
    bytes = bytes.slice(0, -6);
    isReply = true;
  }
  for (;;) {
    bytes = trimBlanksStart(bytes);
    const mark = markPattern.exec(bytes);
    const tag = mark ? undefined : prefix?.exec(bytes);
    if (mark) isReply = true;
    else if (tag && tag[0] !== "") hasPrefix = true;
    else return { bytes, isReply, hasPrefix };
    bytes = bytes.slice((mark ?? tag)?.[0].length);
  }
}

/** `value`: bytes of the unfolded Subject (see `fieldBytes`). */
export function subjectKey(value: string, prefix?: string): SubjectKey {
  const pattern = prefix === undefined || prefix === "" ? undefined : prefixPattern(prefix);
  const raw = strip(decodeWordBytes(value, "raw"), pattern);
  const shown = strip(decodeWordBytes(value, "utf8"), pattern);
  return {
    text: printable(shown.bytes),
    hash: textHash(Buffer.from(raw.bytes, "latin1")),
    isReply: raw.isReply,
    hasPrefix: raw.hasPrefix,
  };
}

/** The part of a From value that names a person, still encoded. */
function namePart(value: string): string {
  const outside = value.replace(/"(?:[^"\\]|\\.)*"/g, (quoted) => "q".repeat(quoted.length));
  const angle = outside.indexOf("<");
  const before = angle < 0 ? "" : trimBlanks(value.slice(0, angle));
  if (before !== "") return before.replace(/^"((?:[^"\\]|\\.)*)"$/, "$1").replace(/\\(.)/g, "$1");
  const quoted = /"((?:[^"\\]|\\.)*)"/.exec(value)?.[1];
  if (quoted !== undefined && angle < 0) return quoted.replace(/\\(.)/g, "$1");
  const comment = angle < 0 ? /\(((?:[^()\\]|\\.)*)\)/.exec(value)?.[1] : undefined;
  return comment?.replace(/\\(.)/g, "$1") ?? value;
}

/** Display name of a From value, `@` written as `.`; "" when there is nothing. */
export function displayName(value: string): string {
  const name = decodeWordBytes(namePart(value), "utf8").replace(/^[ \t<>]+|[ \t<>]+$/g, "");
  return printable(name).replaceAll("@", ".");
}

/**
 * Hash of an author. Takes the `<` before an address in, as the originals do: it names files of
 * existing archives.
 */
export function authorHash(value: string): string {
  const at = value.lastIndexOf("@");
  if (at < 0) return textHash(Buffer.from(value, "latin1"));
  const right = /[> ;]/.exec(value.slice(at));
  const end = right ? at + right.index : value.length;
  let start = at;
  while (start > 0 && !"< ;".includes(value[start - 1] as string)) start--;
  if (start > 0) start--;
  const local = value.slice(start, at).split("-", 1)[0] as string;
  return textHash(Buffer.from(local + value.slice(at, end), "latin1"));
}

/** What the index says about a message with this header. */
export function indexEntry(
  number: number,
  fields: readonly HeaderField[],
  prefix?: string,
): IndexEntry {
  const bytesOf = (name: string): string => {
    const field = findField(fields, name);
    return field ? fieldBytes(field).slice(0, VALUE_LIMIT) : "";
  };
  const from = bytesOf("From");
  const received = bytesOf("Received");
  const semicolon = received.lastIndexOf(";");
  return {
    number,
    subject: subjectKey(bytesOf("Subject"), prefix),
    author: { text: displayName(from), hash: authorHash(from) },
    date: semicolon < 0 ? "" : printable(received.slice(semicolon + 1)),
  };
}

/** The two lines of an entry. */
export function indexLines(entry: IndexEntry): string {
  const { subject, author } = entry;
  return (
    `${entry.number}: ${subject.hash} ${subject.isReply ? "Re: " : ""}${subject.text}\n` +
    `\t${entry.date};${author.hash} ${author.text}\n`
  );
}
