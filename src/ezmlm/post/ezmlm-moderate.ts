/**
 * NAME         ezmlm-moderate - carry out a moderator's decision on a post
 * SYNOPSIS     ezmlm-moderate [-cCmMrRvV] [-t reply-to] DIR [program [args...]]
 * DESCRIPTION  Handles mail to LIST-accept-TS.PID.COOKIE and LIST-reject-TS.PID.COOKIE; stands in
 *              DIR/moderator. On accept the post waiting in DIR/mod/pending is given to ezmlm-send, or
 *              to the program named (one word: a shell command line), with SENDER as it was. On reject
 *              it goes back to its sender, with the moderator's comment: the lines of the mail between
 *              two lines that begin with `%%%` (quote marks in front do not matter).
 *              The first decision counts. The same one again is fine and does nothing, the opposite
 *              is told what happened. A post is sent once, also when the delivery is repeated.
 * OPTIONS      -m  enclose a returned post as a MIME part (default). -M  append it.
 *              -t, -T reply-to  Reply-To of the notice.
 *              -c -C -r -R  given to ezmlm-send.
 *              -v, -V  print the version.
 * ENVIRONMENT  SENDER, LOCAL, DEFAULT (required).
 * FILES        mod/pending mod/accepted mod/rejected mod/lock text/top text/mod-reject
 * EXIT CODES   0 done. 100 wrong cookie, no such post, decided otherwise. 111 temporary.
 * SEE ALSO     ezmlm-store, ezmlm-clean, ezmlm-send
 */
import { PermanentError } from "../../lib/errors.ts";
import { type ExitCode, SUCCESS } from "../../lib/exit-code.ts";
import { fileInput } from "../../lib/message-input.ts";
import { OptionTable, type ParsedOptions } from "../../lib/option.ts";
import type { Host } from "../../lib/program.ts";
import { checkCookie } from "../list/cookie.ts";
import type { List } from "../list/list.ts";
import { listProgram } from "../list/list-program.ts";
import { requireSender } from "../list/sender.ts";
import { versionRows } from "../list/version.ts";
import { catalogue } from "../reply/texts.ts";
import { framedComment, moderatorComment } from "./comment.ts";
import { firstBytes, readIncoming } from "./incoming.ts";
import { messageText } from "./message-text.ts";
import { DECIDE, returnRejected, waitingCookie } from "./moderation-mail.ts";
import { sendOptions } from "./passed-options.ts";
import { runPostProgram } from "./run-post-program.ts";
import { parseWaitingCommand } from "./waiting-command.ts";
import {
  BY_HAND,
  type Decision,
  decision,
  dropDecision,
  isWaiting,
  removeWaiting,
  storedSender,
  writeDecision,
} from "./waiting-room.ts";

/** Bytes of a moderator's mail that are searched for a comment. */
const COMMENT_LIMIT = 256 * 1024;

const options = new OptionTable(
  "ezmlm-moderate",
  [
    { letter: "c", help: "given to ezmlm-send" },
    { letter: "C", help: "given to ezmlm-send", negates: "c" },
    { letter: "m", help: "enclose as a MIME part (default)" },
    { letter: "M", help: "append plainly", negates: "m" },
    { letter: "r", help: "given to ezmlm-send" },
    { letter: "R", help: "given to ezmlm-send", negates: "r" },
    { letter: "t", argument: "reply-to", help: "Reply-To of the notice" },
    { letter: "T", argument: "reply-to", help: "the same" },
    ...versionRows,
  ],
  "DIR [program [args...]]",
);

export const ezmlmModerate = listProgram(
  options,
  async (host, list, parsed, command) => {
    requireSender(host);
    const asked = parseWaitingCommand(host, ["accept", "reject"]);
    if (!asked || !checkCookie(list, waitingCookie(asked.name, DECIDE), asked.cookie)) {
      throw new PermanentError(catalogue(host, list, "ERR_MOD_COOKIE"));
    }
    const kind = asked.word === "accept" ? "accepted" : "rejected";
    return await list.withLock("mod/lock", () =>
      decide(host, list, { kind, name: asked.name, parsed, command }),
    );
  },
  { operands: Number.POSITIVE_INFINITY },
);

interface Verdict {
  readonly kind: Decision;
  readonly name: string;
  readonly parsed: ParsedOptions;
  readonly command: readonly string[];
}

async function decide(host: Host, list: List, verdict: Verdict): Promise<ExitCode> {
  const { kind, name } = verdict;
  const opposite = kind === "accepted" ? "rejected" : "accepted";
  const other = decision(list, opposite, name);
  // Begun by hand and crashed: nobody ends it, for we hold the lock.
  if (other === BY_HAND && isWaiting(list, "pending", name)) dropDecision(list, opposite, name);
  else if (other !== undefined) {
    const key = kind === "accepted" ? "ERR_MOD_REJECTED" : "ERR_MOD_ACCEPTED";
    throw new PermanentError(catalogue(host, list, key));
  }
  const key = host.deliveryKey ?? BY_HAND;
  const begun = decision(list, kind, name);
  if (begun === "") {
    // A crash may have come between the stub and this.
    removeWaiting(list, "pending", name);
    return SUCCESS;
  }
  // Another delivery began and comes again; who began by hand is gone, for we hold the lock.
  if (begun !== undefined && begun !== key && begun !== BY_HAND) return SUCCESS;
  if (!isWaiting(list, "pending", name)) {
    if (begun !== undefined) return SUCCESS;
    throw new PermanentError(catalogue(host, list, "ERR_MOD_TIMEOUT"));
  }
  writeDecision(list, kind, name, key);
  const code = await carryOut(host, list, verdict).catch((error: unknown) => {
    if (error instanceof PermanentError || key === BY_HAND) dropDecision(list, kind, name);
    throw error;
  });
  if (code !== SUCCESS) {
    if (code === 100 || key === BY_HAND) dropDecision(list, kind, name);
    return code;
  }
  writeDecision(list, kind, name, "");
  removeWaiting(list, "pending", name);
  return SUCCESS;
}

async function carryOut(host: Host, list: List, verdict: Verdict): Promise<ExitCode> {
  const { kind, name, parsed, command } = verdict;
  const path = list.path("mod", "pending", name);
  const sender = await storedSender(path);
  if (kind === "accepted") {
    return runPostProgram(host, {
      input: fileInput(path),
      sender,
      command,
      sendArgs: [...sendOptions(parsed), list.dirArgument],
    });
  }
  if (sender === "") return SUCCESS;
  const receipt = await returnRejected(
    host,
    list,
    { name, sender, path, headerOnly: false, multipart: parsed.flag("m") !== false },
    { comment: await comment(host), replyTo: parsed.value("t") ?? parsed.value("T") },
  );
  host.stderr.write(`ezmlm-moderate: info: qp ${receipt.id}\n`);
  return SUCCESS;
}

async function comment(host: Host): Promise<string> {
  const mail = await readIncoming(host.stdin);
  try {
    const text = messageText(mail.fields, await firstBytes(mail, COMMENT_LIMIT));
    return framedComment(moderatorComment(text ?? ""));
  } finally {
    await mail.close();
  }
}
