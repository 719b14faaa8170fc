/** Messages put together by subject: threads in the order of their first message, each ascending. */

import type { Range } from "./get-request.ts";
import { type IndexedMessage, noHash } from "./index-file.ts";

export interface Topic {
  /** Subject of its first message; undefined: not in the index. */
  readonly subject: string | undefined;
  readonly numbers: readonly number[];
  /** Author of each message, "" when unknown. */
  readonly authors: readonly string[];
}

/** Topics of a range. A message that is not in the index is a topic of its own. */
export function topicsOf(index: ReadonlyMap<number, IndexedMessage>, range: Range): Topic[] {
  const topics = new Map<
    string,
    { subject: string | undefined; numbers: number[]; authors: string[] }
  >();
  for (let number = range.from; number <= range.to; number++) {
    const entry = index.get(number);
    const key = !entry || entry.subjectHash === noHash ? `#${number}` : entry.subjectHash;
    const topic = topics.get(key) ?? { subject: entry?.subject, numbers: [], authors: [] };
    topic.numbers.push(number);
    topic.authors.push(entry?.author ?? "");
    topics.set(key, topic);
  }
  return [...topics.values()];
}
