/** Loop detection: whether the header of a message already holds our Delivered-To line. */
import type { MessageInput } from "../../lib/message-input.ts";

/**
 * Compares every header line, byte for byte with its LF. The header ends at the first empty line or
 * at a line without LF. qmail reference 4.1.
 */
export async function headerHasLine(message: MessageInput, line: string): Promise<boolean> {
  const wanted = Buffer.from(line);
  const { buffer } = message;
  // One quick search tells nearly every message from one that may loop.
  if (buffer) return buffer.includes(wanted) && scan(buffer, wanted, true).found;
  let rest = Buffer.alloc(0);
  let skipping = false;
  for await (const chunk of message.chunks()) {
    let data = rest.length > 0 ? Buffer.concat([rest, chunk]) : chunk;
    if (skipping) {
      const end = data.indexOf(10);
      if (end < 0) continue;
      data = data.subarray(end + 1);
      skipping = false;
    }
    const { found, ended, at } = scan(data, wanted, false);
    if (found || ended) return found;
    rest = Buffer.from(data.subarray(at));
    // A line that is longer already cannot be ours: memory stays bounded.
    if (rest.length > wanted.length) {
      rest = Buffer.alloc(0);
      skipping = true;
    }
  }
  return false;
}

function scan(
  data: Buffer,
  wanted: Buffer,
  whole: boolean,
): { found: boolean; ended: boolean; at: number } {
  let at = 0;
  while (at < data.length) {
    const end = data.indexOf(10, at);
    if (end < 0) return { found: false, ended: whole, at };
    if (end === at) return { found: false, ended: true, at };
    if (end + 1 - at === wanted.length && wanted.equals(data.subarray(at, end + 1))) {
      return { found: true, ended: true, at };
    }
    at = end + 1;
  }
  return { found: false, ended: whole, at };
}
