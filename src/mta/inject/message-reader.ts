/**
 * Reads a message as it is injected: the header as fields, the body as it comes. A line that is no
 * field ends the header and begins the body; an mbox line becomes a field; a missing last LF is added.
 * Input with CRLF line ends (by its first line) is read as if it had LF.
 */

export interface RawField {
  readonly name: string;
  /** After the colon, with continuation lines, without the last LF; binary string. */
  readonly value: string;
}

export interface InjectedMessage {
  readonly fields: readonly RawField[];
  /** Whether something follows the header: an empty line then separates them. */
  readonly hasBody: boolean;
  body(): AsyncIterable<Buffer>;
}

/** A header without end would fill our memory. */
const headerLimitBytes = 64 << 20;

export async function readMessage(chunks: AsyncIterable<Buffer>): Promise<InjectedMessage> {
  const input = withLineFeeds(chunks)[Symbol.asyncIterator]();
  const fields: { name: string; value: string }[] = [];
  let held: Buffer = Buffer.alloc(0);
  let size = 0;
  let hasBody = false;
  scan: for (;;) {
    const next = await input.next();
    if (next.done) break;
    size += next.value.length;
    if (size > headerLimitBytes) throw new RangeError("header too large");
    held = held.length > 0 ? Buffer.concat([held, next.value]) : next.value;
    for (let end = held.indexOf(10); end >= 0; end = held.indexOf(10)) {
      const line = held.toString("latin1", 0, end);
      const kind = takeLine(line, fields);
      if (kind !== "body") held = held.subarray(end + 1);
      if (kind !== "field") {
        hasBody = true;
        break scan;
      }
    }
  }
  return {
    fields,
    hasBody,
    async *body() {
      if (held.length > 0) yield held;
      for (let next = await input.next(); !next.done; next = await input.next()) yield next.value;
    },
  };
}

/** Adds a header line to `fields`; `end` for the empty line, `body` for a line that is no field. */
function takeLine(
  line: string,
  fields: { name: string; value: string }[],
): "field" | "end" | "body" {
  const last = fields.at(-1);
  if (line === "") return "end";
  if ((line.startsWith(" ") || line.startsWith("\t")) && last) {
    last.value += `\n${line}`;
    return "field";
  }
  if (line.startsWith("From ")) {
    fields.push({ name: "MBOX-Line", value: ` ${line}` });
    return "field";
  }
  const match = /^([\x21-\x39\x3b-\x7e]+)[ \t]*:/.exec(line);
  if (!match) return "body";
  fields.push({ name: match[1] as string, value: line.slice(match[0].length) });
  return "field";
}

/** LF line ends throughout, and one at the end of input that has none. */
async function* withLineFeeds(chunks: AsyncIterable<Buffer>): AsyncGenerator<Buffer> {
  let crlf: boolean | undefined;
  let first = Buffer.alloc(0);
  let carried = false;
  let last = 10;
  for await (const chunk of chunks) {
    let bytes = chunk;
    if (crlf === undefined) {
      first = Buffer.concat([first, chunk]);
      const end = first.indexOf(10);
      if (end < 0 && first.length < 65536) continue;
      crlf = end > 0 && first[end - 1] === 13;
      bytes = first;
    }
    if (crlf) {
      const text: string = (carried ? "\r" : "") + bytes.toString("latin1");
      carried = text.endsWith("\r");
      bytes = Buffer.from(
        text.slice(0, carried ? -1 : undefined).replaceAll("\r\n", "\n"),
        "latin1",
      );
    }
    if (bytes.length === 0) continue;
    last = bytes[bytes.length - 1] as number;
    yield bytes;
  }
  if (crlf === undefined && first.length > 0) {
    last = first[first.length - 1] as number;
    yield first;
  }
  if (last !== 10) yield Buffer.from("\n");
}
