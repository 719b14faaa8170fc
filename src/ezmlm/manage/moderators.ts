/**
 * Who administers a list: one database, named by the content of `modsub`, else of `remote`, else `mod`.
 * It counts only while one of those files exists.
 */
import type { List } from "../list/list.ts";
import { commandAddress } from "../reply/reply-list.ts";
import type { SubscriberDb } from "../subscribers/subdb.ts";

export function moderatorDb(list: List): SubscriberDb {
  const named = list.has("modsub") ? list.line("modsub") : undefined;
  return list.db(named ?? (list.has("remote") ? list.line("remote") : undefined) ?? "mod");
}

/**
 * The address recorded for a moderator, undefined for others. Secrets are sent to the recorded
 * spelling, never to what a stranger wrote. An entry for a whole domain makes nobody a moderator.
 */
export async function findModerator(list: List, address: string): Promise<string | undefined> {
  if (!list.has("modsub") && !list.has("remote")) return undefined;
  const recorded = await moderatorDb(list).has(address);
  return recorded?.startsWith("@") ? undefined : recorded;
}

/** Every moderator; the owner when there is none, so that no request is lost. */
export async function allModerators(list: List): Promise<string[]> {
  const moderators: string[] = [];
  for await (const batch of moderatorDb(list).each()) {
    moderators.push(...batch.filter((address) => !address.startsWith("@")));
  }
  return moderators.length > 0 ? moderators : [commandAddress(list, "owner")];
}
