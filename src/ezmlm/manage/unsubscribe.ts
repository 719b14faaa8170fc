/**
 * Leaving, step by step, as subscribe.ts:
 *
 *   unsubscribe --(uc: the target confirms)--> [-m and modsub: vc: a moderator agrees] --> removed
 *   unsubscribe by a remote admin --(wc: the admin confirms)--> removed
 *   mail to the link in a copy --[-m and modsub: vc:]--> removed
 *
 * A wrong or old cookie changes nothing. Reference ezmlm.md 4.5.
 */
import { PermanentError } from "../../lib/errors.ts";
import { type ExitCode, SUCCESS } from "../../lib/exit-code.ts";
import { isLinkOf } from "../post/unsubscribe-link.ts";
import { commandAddress } from "../reply/reply-list.ts";
import { catalogue } from "../reply/texts.ts";
import { answer } from "./answer.ts";
import { confirmation, isConfirmed } from "./confirmation.ts";
import { fromLine, info, isRemoteAdmin, isSilent, type ManageContext } from "./context.ts";
import { allModerators } from "./moderators.ts";
import type { Command, CookieAction } from "./request.ts";

export async function unsubscribe(context: ManageContext): Promise<ExitCode> {
  const { options, target, db } = context;
  if ((await db.has(target)) === undefined) return notSubscribed(context, [target]);
  if (!options.confirmUnsubscribe) {
    if (needsModerator(context)) return askAllModerators(context);
    return remove(context, options.notify);
  }
  if (context.moderator !== undefined && isRemoteAdmin(context)) {
    return askModerators(context, "wc.", [context.moderator]);
  }
  return askTarget(context, "unsub-confirm");
}

/** Whether the cookie is the one in the target's copies of posts (or digests). */
export function isRightLink({ list, dbName, target }: ManageContext, cookie: string): boolean {
  return (dbName === "" || dbName === "digest") && isLinkOf(list, dbName, target, cookie);
}

/** Who holds the link received a copy: no confirmation. A wrong link is a request as any other. */
export async function unsubscribeByLink(context: ManageContext, cookie: string): Promise<ExitCode> {
  if (!isRightLink(context, cookie)) return unsubscribe(context);
  if ((await context.db.has(context.target)) !== undefined && needsModerator(context)) {
    return askAllModerators(context);
  }
  return remove(context, context.options.notify);
}

/** A reply to one of the three requests. */
export async function confirmUnsubscribe(
  context: ManageContext,
  command: Extract<Command, { kind: "confirm" }>,
): Promise<ExitCode> {
  const isRight = isConfirmed(context, command);
  if (command.action === "uc.") {
    if (!isRight) return askTarget(context, "unsub-bad");
    if (needsModerator(context)) return askAllModerators(context);
    return remove(context, true);
  }
  if (!isRight) {
    const { host, list, moderator } = context;
    if (moderator === undefined || !isRemoteAdmin(context)) {
      throw new PermanentError(catalogue(host, list, "ERR_MOD_COOKIE"));
    }
    return askModerators(context, command.action, [moderator], "unsub-bad");
  }
  return removeForModerator(context, command.action);
}

function needsModerator(context: ManageContext): boolean {
  return context.options.moderatedRemoval && context.list.has("modsub");
}

async function removeForModerator(context: ManageContext, action: CookieAction): Promise<ExitCode> {
  const { host, db, target, options, list, sender } = context;
  if (!(await db.remove(target, { event: action === "wc." ? "mod" : "" }))) {
    if (!list.has("modsub")) return notSubscribed(context, [sender]);
    info(context, catalogue(host, list, "ERR_UNSUB_NOP"));
    return SUCCESS;
  }
  if (isSilent(context) || !options.notify) return done(context);
  await answer(context, {
    text: "unsub-ok",
    parts: ["unsub-ok", "mod-sub"],
    subject: "SUB_GOODBYE",
    to: [target],
    suppressed: true,
    toOwner: options.ownerLevel === 2,
  });
  return SUCCESS;
}

async function remove(context: ManageContext, isNotified: boolean): Promise<ExitCode> {
  const { db, target, options } = context;
  if (!(await db.remove(target, { comment: fromLine(context) }))) {
    return notSubscribed(context, [target]);
  }
  if (isSilent(context) || !isNotified) return done(context);
  await answer(context, {
    text: "unsub-ok",
    subject: "SUB_GOODBYE",
    to: [target],
    toOwner: options.ownerLevel === 2,
  });
  return SUCCESS;
}

function done(context: ManageContext): ExitCode {
  info(context, `${context.target.replace(/[^\x21-\x7e]/g, "?")} removed`);
  return SUCCESS;
}

async function notSubscribed(context: ManageContext, to: readonly string[]): Promise<ExitCode> {
  const { host, list, options } = context;
  if (isSilent(context)) {
    info(context, catalogue(host, list, "ERR_UNSUB_NOP"));
    return SUCCESS;
  }
  await answer(context, {
    text: "unsub-nop",
    subject: "SUB_UNSUBSCRIBE_NOP",
    to,
    toOwner: options.ownerLevel >= 1,
  });
  return SUCCESS;
}

async function askTarget(context: ManageContext, text: string): Promise<ExitCode> {
  await answer(context, {
    text,
    subject: "SUB_USR_UNSUBSCRIBE",
    to: [context.target],
    reply: confirmation(context, "uc."),
  });
  return SUCCESS;
}

async function askAllModerators(context: ManageContext): Promise<ExitCode> {
  return askModerators(context, "vc.", await allModerators(context.list));
}

async function askModerators(
  context: ManageContext,
  action: CookieAction,
  moderators: readonly string[],
  text = "mod-unsub-confirm",
): Promise<ExitCode> {
  const { list } = context;
  await answer(context, {
    text,
    subject: "SUB_MOD_UNSUBSCRIBE",
    to: moderators,
    ...(action === "vc." ? { toField: commandAddress(list, "moderators") } : {}),
    reply: confirmation(context, action),
  });
  return SUCCESS;
}
