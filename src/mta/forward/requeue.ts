/** Hands the message on with a Delivered-To line: what forward and condredirect have in common. */
import { createHash } from "node:crypto";
import { errorText, PermanentError, TemporaryError } from "../../lib/errors.ts";
import { type MessageInput, rereadable } from "../../lib/message-input.ts";
import type { Host } from "../../lib/program.ts";
import { handIn } from "../../lib/queue-door.ts";

/** Queue DTLINE and the message. Resolves to the id; rejects with `Unable to …: <verdict>`. */
export async function requeue(
  host: Host,
  input: MessageInput,
  deliveredTo: string,
  sender: string,
  recipients: readonly string[],
): Promise<string> {
  // Without a key, as outside of a delivery, a pipe need not be held.
  const isKeyed = host.deliveryKey !== undefined && host.queue.keepsKeys;
  const message = isKeyed ? await rereadable(input) : input;
  const key = isKeyed ? await contentKey(message, [deliveredTo, sender, ...recipients]) : undefined;
  try {
    const receipt = await handIn(host.queue, key === undefined ? {} : { key }, async (out) => {
      out.put(deliveredTo);
      for await (const chunk of message.chunks()) {
        out.put(chunk);
        if (out.full) await out.drained();
      }
      out.from(sender);
      for (const recipient of recipients) out.to(recipient);
    });
    return receipt.id;
  } catch (error) {
    const text = `Unable to forward message: ${errorText(error)}.`;
    if (error instanceof PermanentError) throw new PermanentError(text, { cause: error });
    throw new TemporaryError(text, { cause: error });
  }
}

/** Two mails of one program line have two keys, the same mail of a second run has the one it had. */
async function contentKey(message: MessageInput, envelope: readonly string[]): Promise<string> {
  const hash = createHash("sha256").update(JSON.stringify(envelope));
  for await (const chunk of message.chunks()) hash.update(chunk);
  return `forward:${hash.digest("hex").slice(0, 32)}`;
}

/** A variable of qmail-command that must be there; without it this is no .qmail line. */
export function requireVariable(host: Host, name: string): string {
  const value = host.env[name];
  if (value === undefined) throw new PermanentError(`${name} not set`);
  return value;
}
