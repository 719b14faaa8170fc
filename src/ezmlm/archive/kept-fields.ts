/** Which fields of an archived message a digest shows: `digheaders`, else the usual ones. */
import { asciiLower } from "../../lib/address.ts";
import type { List } from "../list/list.ts";
import { digestFields } from "./archive-mail.ts";

export function keptFields(list: List): Set<string> {
  const lines = list.lines("digheaders") ?? digestFields.split(" ");
  return new Set(lines.map((line) => asciiLower(line.replace(/:.*$/s, "").trim())));
}
