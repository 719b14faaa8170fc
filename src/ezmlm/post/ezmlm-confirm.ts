/**
 * NAME         ezmlm-confirm - handle the sender's confirmation of a post
 * SYNOPSIS     ezmlm-confirm [-cCmMrRvV] [-t reply-to] DIR [program [args...]]
 * DESCRIPTION  Handles mail to LIST-confirm-TS.PID.COOKIE and LIST-discard-TS.PID.COOKIE; stands in
 *              DIR/confirmer. On confirm the post waiting in DIR/mod/unconfirmed is given to ezmlm-send,
 *              or to the program named (one word: a shell command line), with SENDER as it was. On
 *              discard it is forgotten; the mail that asked for confirmation has that address as its
 *              sender, so its bounce discards.
 * OPTIONS      -c -C -r -R  given to ezmlm-send.
 *              -m -M -t -T  accepted, without effect.
 *              -v, -V  print the version.
 * ENVIRONMENT  SENDER, LOCAL, DEFAULT (required). SENDER may be empty on discard.
 * FILES        mod/unconfirmed mod/confirmlock
 * EXIT CODES   0 done. 100 wrong cookie, no such post. 111 temporary.
 * SEE ALSO     ezmlm-store, ezmlm-gate, ezmlm-clean
 */
import { PermanentError } from "../../lib/errors.ts";
import { SUCCESS } from "../../lib/exit-code.ts";
import { fileInput } from "../../lib/message-input.ts";
import { OptionTable } from "../../lib/option.ts";
import { checkCookie } from "../list/cookie.ts";
import { listProgram } from "../list/list-program.ts";
import { requireSender } from "../list/sender.ts";
import { versionRows } from "../list/version.ts";
import { catalogue } from "../reply/texts.ts";
import { DECIDE, DISCARD, waitingCookie } from "./moderation-mail.ts";
import { sendOptions } from "./passed-options.ts";
import { runPostProgram } from "./run-post-program.ts";
import { parseWaitingCommand } from "./waiting-command.ts";
import { isWaiting, removeWaiting, storedSender } from "./waiting-room.ts";

const options = new OptionTable(
  "ezmlm-confirm",
  [
    { letter: "c", help: "given to ezmlm-send" },
    { letter: "C", help: "given to ezmlm-send", negates: "c" },
    { letter: "m", help: "no effect", ignored: true },
    { letter: "M", help: "no effect", ignored: true },
    { letter: "r", help: "given to ezmlm-send" },
    { letter: "R", help: "given to ezmlm-send", negates: "r" },
    { letter: "t", argument: "reply-to", help: "no effect", ignored: true },
    { letter: "T", argument: "reply-to", help: "no effect", ignored: true },
    ...versionRows,
  ],
  "DIR [program [args...]]",
);

export const ezmlmConfirm = listProgram(
  options,
  async (host, list, parsed, command) => {
    const asked = parseWaitingCommand(host, ["confirm", "discard"]);
    if (asked?.word !== "discard") requireSender(host);
    const actions = asked?.word === "discard" ? [DISCARD, DECIDE] : [DECIDE];
    const isGenuine = actions.some(
      (action) => asked && checkCookie(list, waitingCookie(asked.name, action), asked.cookie),
    );
    if (!asked || !isGenuine) throw new PermanentError(catalogue(host, list, "ERR_MOD_COOKIE"));
    const { name } = asked;
    return await list.withLock("mod/confirmlock", async () => {
      if (!isWaiting(list, "unconfirmed", name)) {
        if (asked.word === "discard") return SUCCESS;
        throw new PermanentError(catalogue(host, list, "ERR_MOD_TIMEOUT"));
      }
      if (asked.word === "confirm") {
        const path = list.path("mod", "unconfirmed", name);
        const code = await runPostProgram(host, {
          input: fileInput(path),
          sender: await storedSender(path),
          command,
          sendArgs: [...sendOptions(parsed), list.dirArgument],
        });
        if (code !== SUCCESS) return code;
      } else {
        host.stderr.write(`ezmlm-confirm: info: discarded ${name}\n`);
      }
      removeWaiting(list, "unconfirmed", name);
      return SUCCESS;
    });
  },
  { operands: Number.POSITIVE_INFINITY },
);
