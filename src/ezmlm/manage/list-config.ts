/** Lists a global command address serves: lines `list@host:dir:description`. */
import { asciiLower, splitAddress } from "../../lib/address.ts";

export interface ServedList {
  readonly local: string;
  readonly host: string;
  readonly dir: string;
  readonly description: string;
}

/** `#` and empty lines do not count; a line without colon ends the file. */
export function parseListConfig(text: string): ServedList[] {
  const lists: ServedList[] = [];
  for (const raw of text.split("\n")) {
    const line = raw.trim();
    if (line === "" || line.startsWith("#")) continue;
    const match = /^([^:]+):([^:]*):?(.*)$/.exec(line);
    if (!match) break;
    const { local, domain } = splitAddress(match[1]?.trim() ?? "");
    lists.push({
      local,
      host: domain,
      dir: match[2]?.trim() ?? "",
      description: match[3]?.trim() ?? "",
    });
  }
  return lists;
}

/** The list somebody named; without a host the first of that name. */
export function findServed(
  lists: readonly ServedList[],
  name: string | undefined,
  host: string | undefined,
): ServedList | undefined {
  const same = lists.filter((each) => asciiLower(each.local) === asciiLower(name ?? ""));
  if (host === undefined) return same[0];
  return same.find((each) => asciiLower(each.host) === asciiLower(host));
}
