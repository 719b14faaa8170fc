/** `get.N` where ezmlm-get does not stand before ezmlm-manage: one message of the archive, quoted. */
import { PermanentError } from "../../lib/errors.ts";
import { type ExitCode, SUCCESS } from "../../lib/exit-code.ts";
import { fileInput, readAll } from "../../lib/message-input.ts";
import { archivePath, isArchived } from "../post/archive-file.ts";
import { catalogue } from "../reply/texts.ts";
import { answer } from "./answer.ts";
import type { ManageContext } from "./context.ts";

const messageLimitBytes = 4 * 1024 * 1024;

export async function getMessage(context: ManageContext, argument: string): Promise<ExitCode> {
  const { host, list, options, target } = context;
  if (!options.serveGet) throw new PermanentError(catalogue(host, list, "ERR_NOT_AVAILABLE"));
  if (!list.has("archived")) throw new PermanentError(catalogue(host, list, "ERR_NOT_ARCHIVED"));
  if (list.has("modgetonly") && (context.moderator === undefined || !list.has("remote"))) {
    throw new PermanentError(catalogue(host, list, "ERR_NOT_ALLOWED"));
  }
  if (list.has("subgetonly") && !(await isSubscriber(context))) {
    throw new PermanentError(catalogue(host, list, "ERR_SUBSCRIBER_CAN"));
  }
  const number = Number(/^[._]?(\d{1,9})$/.exec(argument)?.[1] ?? 0);
  const quoted = number > 0 ? await quotedMessage(context, number) : undefined;
  await answer(context, {
    text: quoted === undefined ? "get-bad" : "get",
    parts: quoted === undefined ? ["get-bad"] : [],
    insert: quoted ?? "",
    subject: "SUB_GET_MSG",
    to: [target],
  });
  return SUCCESS;
}

async function isSubscriber(context: ManageContext): Promise<boolean> {
  for (const name of ["", "digest", "allow"]) {
    if ((await context.list.db(name).has(context.sender)) !== undefined) return true;
  }
  return false;
}

async function quotedMessage(context: ManageContext, number: number): Promise<string | undefined> {
  const path = archivePath(context.list, number);
  if (!isArchived(path)) return undefined;
  const text = (await readAll(fileInput(path), messageLimitBytes)).toString("utf8");
  return `${text.replace(/\n$/, "").replace(/^/gm, "> ")}\n`;
}
