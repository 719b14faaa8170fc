/** Questions that change nothing: query, info, faq, help. Reference ezmlm.md 4.5. */
import { type ExitCode, SUCCESS } from "../../lib/exit-code.ts";
import { answer } from "./answer.ts";
import type { ManageContext } from "./context.ts";

/** Whether the target is subscribed; told to the target, or to the moderator who asks. */
export async function query(context: ManageContext): Promise<ExitCode> {
  const { db, target, moderator } = context;
  const isSubscribed = (await db.has(target)) !== undefined;
  await answer(context, {
    text: isSubscribed ? "sub-nop" : "unsub-nop",
    subject: "SUB_STATUS",
    to: [moderator ?? target],
  });
  return SUCCESS;
}

export async function tell(context: ManageContext, name: "info" | "faq"): Promise<ExitCode> {
  const subject = name === "info" ? "SUB_INFO" : "SUB_FAQ";
  await answer(context, { text: name, subject, to: [context.target] });
  return SUCCESS;
}

/** Help, also for everything nobody understands. Moderators who ask for it learn their commands, too. */
export async function help(context: ManageContext, isExact: boolean): Promise<ExitCode> {
  const { moderator, sender } = context;
  const forModerator = isExact && moderator !== undefined;
  await answer(context, {
    text: forModerator ? "mod-help" : "help",
    parts: forModerator ? ["mod-help", "help"] : ["help"],
    subject: forModerator ? "SUB_MOD_HELP" : "SUB_HELP",
    to: [forModerator ? moderator : sender],
    about: sender,
    isHelp: true,
  });
  return SUCCESS;
}
