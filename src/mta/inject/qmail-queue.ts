/**
 * NAME         qmail-queue - queue a message for delivery
 * SYNOPSIS     qmail-queue
 * DESCRIPTION  Reads a message from descriptor 0 to its end, then an envelope
 *              from descriptor 1 (which is an input here): F, the sender, NUL;
 *              for each recipient T, the address, NUL; one NUL more. Nothing
 *              is queued when the envelope ends before that last NUL. The
 *              message becomes a file in queue/drop, on disk before the
 *              program ends, also while the server is down; the server adds a
 *              Received line that names the uid of the file's owner.
 * ENVIRONMENT  QMAILHOME the MTA home. QMAILDELIVERY set by a delivery.
 * FILES        queue/drop, queue/lock/trigger
 * EXIT CODES   0 queued. 11 address too long or not possible. 31 message and
 *              envelope of more than 1 GiB. 51 out of memory. 52 not finished
 *              within 24 hours. 53 write error. 54 read error. 62 no queue. 64
 *              cannot create a file there. 81 internal bug. 91 envelope
 *              format.
 * SEE ALSO     qmail-inject, qmail-send
 */
import { createReadStream } from "node:fs";
import { PermanentError, TemporaryError } from "../../lib/errors.ts";
import { type ExitCode, SUCCESS } from "../../lib/exit-code.ts";
import type { Host, Program } from "../../lib/program.ts";
import type { Submission } from "../../lib/queue-door.ts";
import { MessageTooLong } from "../queue/drop-file.ts";
import { DropError, DropQueue } from "./drop-queue.ts";
import { readEnvelope } from "./envelope.ts";

const ADDRESS = 11;
const TOO_LONG = 31;
const TIMEOUT = 52;
const READ_ERROR = 54;
const BUG = 81;
const FORMAT = 91;
/** Must stay below the age at which unfinished files in queue/drop are swept. */
const lifetimeSeconds = 86400;

export const qmailQueue: Program = {
  name: "qmail-queue",
  usage: "qmail-queue",
  async run(host) {
    const submission = new DropQueue(host, host.env.QMAILDELIVERY ?? "").open();
    let timer: NodeJS.Timeout | undefined;
    const tooLong = new Promise<ExitCode>((resolve) => {
      timer = setTimeout(() => resolve(TIMEOUT), lifetimeSeconds * 1000);
    });
    const code = await Promise.race([queueMessage(host, submission), tooLong]);
    clearTimeout(timer);
    if (code !== SUCCESS) submission.abort();
    return code;
  },
};

async function queueMessage(host: Host, submission: Submission): Promise<ExitCode> {
  try {
    for await (const chunk of host.stdin.chunks()) submission.put(chunk);
    const input = createReadStream("", { fd: 1, autoClose: false });
    const trouble = await readEnvelope(input, submission);
    if (trouble) return trouble === "format" ? FORMAT : READ_ERROR;
  } catch {
    return READ_ERROR;
  }
  try {
    await submission.commit();
    return SUCCESS;
  } catch (error) {
    return exitCodeOf(error);
  }
}

/** Why nothing was queued, for whoever knows only a number of it. */
export function exitCodeOf(error: unknown): ExitCode {
  if (error instanceof DropError) return error.queueExitCode;
  if (error instanceof MessageTooLong) return TOO_LONG;
  if (error instanceof PermanentError) return ADDRESS;
  return error instanceof TemporaryError ? BUG : READ_ERROR;
}
