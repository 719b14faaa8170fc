/**
 * One request on its way through ezmlm-manage: who asks, about whom, on which database, and what the
 * list allows. Made once; the flows only read it.
 */
import { unixSeconds } from "../../lib/date822.ts";
import { fieldText, findField } from "../../lib/header.ts";
import type { Host } from "../../lib/program.ts";
import type { List } from "../list/list.ts";
import type { MessageHead } from "../reply/message-head.ts";
import type { SubscriberDb } from "../subscribers/subdb.ts";
import type { ManageOptions } from "./options.ts";
import type { DatabaseName } from "./request.ts";

export interface ManageContext {
  readonly host: Host;
  readonly list: List;
  readonly options: ManageOptions;
  /** Unwrapped SENDER. */
  readonly sender: string;
  /** Address in the command, else SENDER. */
  readonly target: string;
  readonly dbName: DatabaseName;
  readonly db: SubscriberDb;
  /** Recorded address of the moderator who asks; undefined: not a moderator. */
  readonly moderator: string | undefined;
  readonly head: MessageHead;
  readonly now: number;
}

/** Whether a moderator may act for others by mail here. */
export function isRemoteAdmin(context: ManageContext): boolean {
  return context.moderator !== undefined && context.list.has("remote");
}

/** Changes of `allow` and `deny` are made without a word to the address they are about. */
export function isSilent(context: ManageContext): boolean {
  return context.dbName === "allow" || context.dbName === "deny";
}

/** From field of the request, for the Log. */
export function fromLine(context: ManageContext): string {
  const field = findField(context.head.fields, "From");
  return field && context.options.recordFrom ? fieldText(field) : "";
}

export function seconds(host: Pick<Host, "now">): number {
  return unixSeconds(host.now());
}

export function info(context: ManageContext, text: string): void {
  context.host.stderr.write(`ezmlm-manage: info: ${text}\n`);
}
