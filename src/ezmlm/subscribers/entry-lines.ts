/** Addresses as people write them into files and command lines: one each, perhaps with a name. */
import type { MessageInput } from "../../lib/message-input.ts";
import type { Entry } from "./subdb.ts";

/**
 * `address`, or with `named` `address name`: the name is what stands after the first space, tab or
 * comma that has no backslash before it. Undefined for blank lines and `#` comments.
 */
export function parseEntryLine(line: string, named: boolean): Entry | undefined {
  const text = line.trim();
  if (text === "" || text.startsWith("#")) return undefined;
  if (!named) return { address: text };
  const match = /^((?:\\.|[^\\ \t,])+)[ \t,]*(.*)$/s.exec(text);
  const address = (match?.[1] ?? text).replace(/\\(.)/gs, "$1");
  const comment = match?.[2] ?? "";
  return comment === "" ? { address } : { address, comment };
}

/** Entries of the input in batches. */
export async function* readEntries(
  input: MessageInput,
  named: boolean,
  batchSize: number,
): AsyncIterable<Entry[]> {
  let batch: Entry[] = [];
  let rest: Buffer = Buffer.alloc(0);
  for await (const chunk of input.chunks()) {
    const bytes = rest.length > 0 ? Buffer.concat([rest, chunk]) : chunk;
    const end = bytes.lastIndexOf(10) + 1;
    rest = bytes.subarray(end);
    for (const line of bytes.toString("utf8", 0, end).split("\n")) {
      const entry = parseEntryLine(line, named);
      if (entry) batch.push(entry);
    }
    if (batch.length >= batchSize) {
      yield batch;
      batch = [];
    }
  }
  const last = parseEntryLine(rest.toString("utf8"), named);
  if (last) batch.push(last);
  if (batch.length > 0) yield batch;
}
