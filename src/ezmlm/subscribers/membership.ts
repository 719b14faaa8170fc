/** Whether an address is in one of several databases; the question of checksub, issubn and gate. */
import type { List } from "../list/list.ts";

/** No names at all: the main database. */
export async function isInAny(
  list: Pick<List, "db">,
  names: readonly string[],
  address: string,
): Promise<boolean> {
  for (const name of names.length > 0 ? names : [""]) {
    if ((await list.db(name).has(address)) !== undefined) return true;
  }
  return false;
}
