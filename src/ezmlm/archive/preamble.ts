/** What stands before the messages of a digest or an answer from the archive. */
import type { Host } from "../../lib/program.ts";
import type { List } from "../list/list.ts";
import { catalogue } from "../reply/texts.ts";
import type { Range } from "./get-request.ts";
import type { Topic } from "./topics.ts";

export interface Preamble {
  readonly subject: string;
  /** undefined: no list of topics. */
  readonly topics: readonly Topic[] | undefined;
  /** Range to announce; a thread has none. */
  readonly range?: Range;
  /** Text under "Administrivia"; "" for none. */
  readonly administrivia: string;
}

export function renderPreamble(host: Host, list: List, preamble: Preamble): string {
  const { topics, range, administrivia } = preamble;
  const parts = [`${preamble.subject}\n\n`];
  if (topics && range) {
    parts.push(
      `${catalogue(host, list, "TXT_TOP_TOPICS", String(range.from), String(range.to))}\n\n`,
    );
  }
  for (const topic of topics ?? []) {
    if (topic.subject === undefined) continue;
    const lines = topic.numbers.map((number, at) => {
      const by = catalogue(host, list, "TXT_BY", topic.authors[at] ?? "");
      return `\t${number}${by.trimEnd()}\n`;
    });
    parts.push(`${topic.subject}\n${lines.join("")}\n`);
  }
  if (administrivia !== "") {
    parts.push(`${catalogue(host, list, "TXT_ADMINISTRIVIA")}\n\n${administrivia}`);
  }
  return parts.join("");
}
