/**
 * Changing the texts of a list by mail. A moderator asks for a text, gets it between two marks with a
 * cookie over its present content, and sends it back; the first who does wins. A text that still is
 * the site's is copied into `DIR/text` with its first change. A text that would not render is refused,
 * so that no edit can stop the list. Reference ezmlm-texts.md 2.
 */
import { mkdirSync } from "node:fs";
import { writeFileAtomic } from "../../lib/atomic-file.ts";
import { PermanentError, TemporaryError } from "../../lib/errors.ts";
import { type ExitCode, SUCCESS } from "../../lib/exit-code.ts";
import { readMailText } from "../../lib/mail-text.ts";
import { checkCookie, makeCookie } from "../list/cookie.ts";
import { commandAddress } from "../reply/reply-list.ts";
import { findText } from "../reply/text-files.ts";
import { catalogue, fillText } from "../reply/texts.ts";
import { answer } from "./answer.ts";
import type { ManageContext } from "./context.ts";
import type { Command } from "./request.ts";
import { requireModerator } from "./roster.ts";

/** Longest text that is taken, in bytes. */
const textLimitBytes = 10_240;
/** How long the address to send a text to is good. */
const editSeconds = 100_000;

/** `edit`: which texts there are. `edit.NAME`: that text, ready to be changed. */
export async function sendText(
  context: ManageContext,
  name: string | undefined,
): Promise<ExitCode> {
  const { host, list, options } = context;
  const moderator = requireModerator(context, options.mayEdit && list.has("remote"));
  if (name === undefined) {
    await answer(context, {
      text: "edit-list",
      subject: "SUB_EDIT_LIST",
      to: [moderator],
      about: moderator,
    });
    return SUCCESS;
  }
  const text = name === "" ? undefined : findText(host, list, name)?.text;
  if (text === undefined) throw new PermanentError(catalogue(host, list, "ERR_BAD_NAME"));
  const date = String(context.now);
  const cookie = makeCookie(list, editSubject(date, name, text));
  const address = commandAddress(list, `ed.${date}.${name.replaceAll("-", "_")}.${cookie}`);
  await answer(context, {
    text: `edit ${name}`,
    parts: ["edit-do"],
    insert: `\n${mark(context, "START")}\n${endLine(text)}${mark(context, "END")}\n`,
    subject: "SUB_EDIT_REQUEST",
    subjectParams: [name],
    to: [moderator],
    about: moderator,
    reply: { address, action: "ed." },
  });
  return SUCCESS;
}

/** `ed.`: whoever has the cookie may put a new text in place, once. */
export async function takeText(
  context: ManageContext,
  command: Extract<Command, { kind: "edited" }>,
): Promise<ExitCode> {
  const { host, list, options, sender } = context;
  if (!options.mayEdit || !list.has("remote")) {
    throw new PermanentError(catalogue(host, list, "ERR_NOT_AVAILABLE"));
  }
  const refuse = (key: string): PermanentError => new PermanentError(catalogue(host, list, key));
  const made = Number(command.date);
  if (command.cookie === "" || made > context.now || made + editSeconds < context.now) {
    throw refuse("ERR_BAD_REQUEST");
  }
  const message = Buffer.concat([context.head.headerBytes, Buffer.from("\n"), context.head.body]);
  const written = await readMailText(message);
  await list.withLock("lock", async () => {
    const before = findText(host, list, command.name)?.text;
    if (before === undefined) throw refuse("ERR_BAD_NAME");
    const subject = editSubject(command.date, command.name, before);
    if (!checkCookie(list, subject, command.cookie)) throw refuse("ERR_BAD_REQUEST");
    const marks = {
      start: catalogue(host, list, "TXT_EDIT_START"),
      end: catalogue(host, list, "TXT_EDIT_END"),
    };
    const text = betweenMarks(written, marks.start, marks.end);
    if (text === undefined) throw refuse("ERR_NO_MARK");
    if (Buffer.byteLength(text) > textLimitBytes) throw refuse("ERR_EDSIZE");
    requireUsable(context, command.name, text);
    mkdirSync(list.path("text"), { recursive: true, mode: 0o700 });
    writeFileAtomic(list.path("text", command.name), text, {
      temp: list.path("text", `${command.name}_`),
    });
  });
  await answer(context, {
    text: "edit-done",
    subject: "SUB_EDIT_SUCCESS",
    subjectParams: [command.name],
    to: [sender],
    about: sender,
  });
  return SUCCESS;
}

/** A text that fails to render would hold up every later mail of the list. */
function requireUsable(context: ManageContext, name: string, text: string): void {
  if (name === "messages") return;
  try {
    const tags = { number: 1, A: "a@b.example", R: context.sender, X: "" };
    fillText(context.list, text, tags, `the text "${name}"`);
  } catch (error) {
    if (!(error instanceof TemporaryError)) throw error;
    throw new PermanentError(error.message.replace(/\(#4\.3\.5\)$/, "(#5.6.0)"), { cause: error });
  }
}

function editSubject(date: string, name: string, content: string) {
  return { action: "-", date, address: `text/${name}`, content };
}

function mark(context: ManageContext, which: "START" | "END"): string {
  return `%%% ${catalogue(context.host, context.list, `TXT_EDIT_${which}`)}`;
}

function endLine(text: string): string {
  return text === "" || text.endsWith("\n") ? text : `${text}\n`;
}

/**
 * What stands between the lines with the two marks; what a mail program put before the first one
 * (`> `) goes from every line. undefined: a mark is missing.
 */
export function betweenMarks(text: string, start: string, end: string): string | undefined {
  const lines = text.replaceAll("\r", "").split("\n");
  const at = (words: string, from: number): number =>
    lines.findIndex((line, index) => index >= from && isMark(line, words));
  const first = at(start, 0);
  const last = first < 0 ? -1 : at(end, first + 1);
  if (last < 0) return undefined;
  const quote = (lines[first] ?? "").slice(0, (lines[first] ?? "").indexOf("%"));
  const content = lines.slice(first + 1, last).map((line) => unquote(line, quote));
  return content.map((line) => `${line}\n`).join("");
}

function isMark(line: string, words: string): boolean {
  return new RegExp(`%\\s*${words.replace(/[.*+?^${}()|[\]\\]/g, "\\$&")}`, "i").test(line);
}

function unquote(line: string, quote: string): string {
  if (line.startsWith(quote)) return line.slice(quote.length);
  // Mail programs write `>` for an empty line where others have `> `.
  return line === quote.trimEnd() ? "" : line;
}
