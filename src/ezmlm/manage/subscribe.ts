/**
 * Joining, step by step. Each step is a mail with a cookie; only the right cookie moves on:
 *
 *   subscribe --(sc: the target confirms)--> [modsub: tc: a moderator agrees] --> added
 *   subscribe by a remote admin --(rc: the admin confirms)--> added
 *
 * A wrong or old cookie changes nothing and brings a fresh request. Reference ezmlm.md 4.5.
 */
import { PermanentError } from "../../lib/errors.ts";
import { type ExitCode, SUCCESS } from "../../lib/exit-code.ts";
import { commandAddress, targetPart } from "../reply/reply-list.ts";
import { catalogue } from "../reply/texts.ts";
import { answer } from "./answer.ts";
import { confirmation, isConfirmed } from "./confirmation.ts";
import { fromLine, info, isRemoteAdmin, isSilent, type ManageContext } from "./context.ts";
import { recallFrom, rememberFrom } from "./from-line.ts";
import { allModerators } from "./moderators.ts";
import type { Command, CookieAction } from "./request.ts";

export async function subscribe(context: ManageContext): Promise<ExitCode> {
  const { list, options, target, db } = context;
  if ((await db.has(target)) !== undefined) return alreadySubscribed(context);
  if (context.moderator !== undefined && isRemoteAdmin(context)) {
    return askModerators(context, "rc.", [context.moderator]);
  }
  if (options.confirmSubscribe) return askTarget(context, "sub-confirm");
  if (list.has("modsub")) return askAllModerators(context);
  return add(context, { event: "", comment: fromLine(context) }, options.notify);
}

/** A reply to one of the three requests. */
export async function confirmSubscribe(
  context: ManageContext,
  command: Extract<Command, { kind: "confirm" }>,
): Promise<ExitCode> {
  const { list, target, sender, moderator } = context;
  const isRight = isConfirmed(context, command);
  if (command.action === "sc.") {
    if (!isRight) return askTarget(context, "sub-bad");
    const isOwnModerator = moderator !== undefined && sender.toLowerCase() === target.toLowerCase();
    if (list.has("modsub") && !isOwnModerator) return askAllModerators(context);
    return add(context, { event: "", comment: fromLine(context) }, true);
  }
  if (!isRight) {
    if (moderator === undefined || !isRemoteAdmin(context)) {
      throw new PermanentError(catalogue(context.host, list, "ERR_MOD_COOKIE"));
    }
    return askModerators(context, command.action, [moderator], "sub-bad");
  }
  return addForModerator(context, command.action);
}

async function addForModerator(context: ManageContext, action: CookieAction): Promise<ExitCode> {
  const { db, target, options, host, list } = context;
  const change = action === "tc." ? { event: "", comment: recallFrom(context) } : { event: "mod" };
  if (!(await db.add(target, change))) {
    if (action === "rc.") return alreadySubscribed(context);
    info(context, catalogue(host, list, "ERR_SUB_NOP"));
    return SUCCESS;
  }
  if (isSilent(context) || !options.notify) {
    info(context, `${target.replace(/[^\x21-\x7e]/g, "?")} added`);
    return SUCCESS;
  }
  await answer(context, {
    ...welcome(context),
    parts: ["sub-ok", "mod-sub"],
    suppressed: true,
    toOwner: options.ownerLevel === 2,
  });
  return SUCCESS;
}

async function add(
  context: ManageContext,
  change: { event: string; comment: string },
  isNotified: boolean,
): Promise<ExitCode> {
  const { db, target, options } = context;
  const isNew = await db.add(target, change);
  if (!isNew) return alreadySubscribed(context);
  if (isSilent(context) || !isNotified) {
    info(context, `${target.replace(/[^\x21-\x7e]/g, "?")} added`);
    return SUCCESS;
  }
  await answer(context, { ...welcome(context), toOwner: options.ownerLevel === 2 });
  return SUCCESS;
}

function welcome(context: ManageContext) {
  const { list, target, dbName } = context;
  const leave = commandAddress(list, `unsubscribe-${targetPart(target)}`, dbName);
  return {
    text: "sub-ok",
    subject: "SUB_WELCOME",
    to: [target],
    reply: { address: leave, action: "unsubscribe-" },
    replyTo: false,
    listUnsubscribe: true,
  } as const;
}

async function alreadySubscribed(context: ManageContext): Promise<ExitCode> {
  const { host, list, target } = context;
  if (isSilent(context)) {
    info(context, catalogue(host, list, "ERR_SUB_NOP"));
    return SUCCESS;
  }
  await answer(context, { text: "sub-nop", subject: "SUB_SUBSCRIBE_NOP", to: [target] });
  return SUCCESS;
}

async function askTarget(context: ManageContext, text: string): Promise<ExitCode> {
  const { target } = context;
  await answer(context, {
    text,
    subject: "SUB_USR_SUBSCRIBE",
    to: [target],
    reply: confirmation(context, "sc."),
  });
  return SUCCESS;
}

async function askAllModerators(context: ManageContext): Promise<ExitCode> {
  await rememberFrom(context);
  return askModerators(context, "tc.", await allModerators(context.list));
}

async function askModerators(
  context: ManageContext,
  action: CookieAction,
  moderators: readonly string[],
  text = "mod-sub-confirm",
): Promise<ExitCode> {
  const { list } = context;
  await answer(context, {
    text,
    subject: "SUB_MOD_SUBSCRIBE",
    to: moderators,
    ...(action === "tc." ? { toField: commandAddress(list, "moderators") } : {}),
    reply: confirmation(context, action),
  });
  return SUCCESS;
}
