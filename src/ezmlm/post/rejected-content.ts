/** What a list refuses because of what a message is: its type, its parts, its size, its first line. */
import type { List } from "../list/list.ts";
import type { IncomingMessage } from "./incoming.ts";
import { messageText } from "./message-text.ts";
import { filterableBoundary, MimeFilter } from "./mime-filter.ts";
import { topType } from "./post-body.ts";
import { typeSet } from "./post-rules.ts";

export interface Rejection {
  /** Of the message catalogue. */
  readonly key: string;
  readonly params: readonly string[];
}

/** How much text is searched for its first line, in bytes. */
const START_BYTES = 65536;

/** Reads no more of the body than the list's files ask for. */
export async function rejectedContent(
  list: List | undefined,
  message: IncomingMessage,
  checkFirstLine: boolean,
): Promise<Rejection | undefined> {
  const type = topType(message.fields);
  const boundary = filterableBoundary(type);
  const kept = list && typeSet(list, "mimekeep");
  const removed = list && !kept ? typeSet(list, "mimeremove") : undefined;
  const refused = list && typeSet(list, "mimereject");
  if (type && type.type !== "") {
    const isOutside = kept !== undefined && boundary === undefined && !kept.has(type.type);
    if (isOutside || removed?.has(type.type) || refused?.has(type.type)) {
      return { key: "ERR_BAD_TYPE", params: [printableType(type.type)] };
    }
  }
  const { max, min } = sizeLimits(list?.line("msgsize"));
  if (max === 0 && min === 0 && !refused && !checkFirstLine) return undefined;
  let badPart: string | undefined;
  const filter =
    boundary === undefined
      ? undefined
      : new MimeFilter(
          boundary,
          {
            keep(partType) {
              if (refused?.has(partType)) badPart ??= partType;
              return true;
            },
          },
          () => {},
        );
  let total = 0;
  let start: Buffer = Buffer.alloc(0);
  const size = (): number => total - (filter?.overheadBytes ?? 0);
  for await (const chunk of message.body()) {
    total += chunk.length;
    if (checkFirstLine && start.length < START_BYTES)
      start = Buffer.concat([start, chunk.subarray(0, START_BYTES)]);
    filter?.push(chunk);
    if (badPart !== undefined || (max > 0 && size() > max)) break;
  }
  filter?.end();
  if (checkFirstLine) {
    const first = messageText(message.fields, start)?.trimStart().slice(0, 20) ?? "";
    if (/^(?:un)?subscribe/i.test(first)) return { key: "ERR_BODYCOMMAND", params: [] };
  }
  if (badPart !== undefined) return { key: "ERR_BAD_PART", params: [printableType(badPart)] };
  if (max > 0 && size() > max) return { key: "ERR_MAX_SIZE", params: [String(max)] };
  if (min > 0 && size() < min) return { key: "ERR_MIN_SIZE", params: [String(min)] };
  return undefined;
}

/** `max:min`, in bytes; 0 or missing: no limit. */
function sizeLimits(text: string | undefined): { max: number; min: number } {
  const [max = "", min = ""] = (text ?? "").split(":");
  return { max: Number.parseInt(max, 10) || 0, min: Number.parseInt(min, 10) || 0 };
}

/** A stranger wrote it, and it goes into a bounce. */
function printableType(type: string): string {
  return type.replace(/[^\x21-\x7e]/g, "?").slice(0, 100);
}
