/**
 * Confirmation addresses of (un)subscribe requests: `LOCAL[-DB]-Xc.TS.COOKIE-tlocal=tdomain@HOST`. The cookie
 * binds action, time, target and database, so none of them can be changed. Good for 1,000,000 seconds.
 */
import { checkCookie, makeCookie } from "../list/cookie.ts";
import { commandAddress, targetPart } from "../reply/reply-list.ts";
import type { ManageContext } from "./context.ts";
import type { Command, CookieAction } from "./request.ts";

/** How long a confirmation is good. */
export const confirmSeconds = 1_000_000;

/** A fresh address for one step of a flow. */
export function confirmation(
  context: ManageContext,
  action: CookieAction,
): { address: string; action: string } {
  const date = String(context.now);
  const cookie = makeCookie(context.list, subject(context, action, date));
  const command = `${action}${date}.${cookie}-${targetPart(context.target)}`;
  return { address: commandAddress(context.list, command, context.dbName), action };
}

/** Whether the request carries a cookie of ours for exactly this, made in time. */
export function isConfirmed(
  context: ManageContext,
  command: Extract<Command, { kind: "confirm" }>,
): boolean {
  const made = Number(command.date);
  if (command.cookie === "" || made > context.now || context.now > made + confirmSeconds) {
    return false;
  }
  return checkCookie(context.list, subject(context, command.action, command.date), command.cookie);
}

function subject(context: ManageContext, action: CookieAction, date: string) {
  return {
    action: action.charAt(0),
    date,
    address: context.target,
    ...(context.dbName === "" ? {} : { db: context.dbName }),
  };
}
