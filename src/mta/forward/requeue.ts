/** Hands the message on with a Delivered-To line: what forward and condredirect have in common. */
import { createHash } from "node:crypto";
import { errorText, PermanentError, TemporaryError } from "../../lib/errors.ts";
import type { MessageInput } from "../../lib/message-input.ts";
import type { Host } from "../../lib/program.ts";

/** Queue DTLINE and the message. Resolves to the id; rejects with `Unable to …: <verdict>`. */
export async function requeue(
  host: Host,
  input: MessageInput,
  deliveredTo: string,
  sender: string,
  recipients: readonly string[],
): Promise<string> {
  // Two calls in one program line are two mails, the same call run again is not.
  const name = createHash("sha256")
    .update([sender, ...recipients].join("\0"))
    .digest("hex");
  const submission = host.queue.open({ key: `forward:${name.slice(0, 32)}` });
  try {
    submission.put(deliveredTo);
    for await (const chunk of input.chunks()) {
      submission.put(chunk);
      if (submission.full) await submission.drained();
    }
    submission.from(sender);
    for (const recipient of recipients) submission.to(recipient);
    return (await submission.commit()).id;
  } catch (error) {
    submission.abort();
    const text = `Unable to forward message: ${errorText(error)}.`;
    if (error instanceof PermanentError) throw new PermanentError(text, { cause: error });
    throw new TemporaryError(text, { cause: error });
  }
}

/** A variable of qmail-command that must be there; without it this is no .qmail line. */
export function requireVariable(host: Host, name: string): string {
  const value = host.env[name];
  if (value === undefined) throw new PermanentError(`${name} not set`);
  return value;
}
