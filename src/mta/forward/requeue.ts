/** Hands the message on with a Delivered-To line: what forward and condredirect have in common. */
import { errorText, PermanentError, TemporaryError } from "../../lib/errors.ts";
import type { MessageInput } from "../../lib/message-input.ts";
import type { Host } from "../../lib/program.ts";
import { handIn, type SubmissionOptions } from "../../lib/queue-door.ts";
import { MailKey } from "./mail-key.ts";
import { spooled } from "./spooled.ts";

export interface NewEnvelope {
  /** The Delivered-To line that goes in front, with its line feed. */
  readonly deliveredTo: string;
  readonly sender: string;
  readonly recipients: readonly string[];
}

/** Resolves to the id of what was queued; rejects with `Unable to …: <verdict>`. */
export async function requeue(
  host: Host,
  input: MessageInput,
  envelope: NewEnvelope,
): Promise<string> {
  // Without a key, as outside of a delivery, a pipe is read just once.
  const isKeyed = host.deliveryKey !== undefined && host.queue.keepsKeys;
  if (!isKeyed) return submit(host, input, envelope, {});
  return spooled(host, input, async (message) => {
    const key = new MailKey([envelope.deliveredTo, envelope.sender, ...envelope.recipients]);
    for await (const chunk of message.chunks()) key.add(chunk);
    return submit(host, message, envelope, { key: key.digest() });
  });
}

async function submit(
  host: Host,
  message: MessageInput,
  envelope: NewEnvelope,
  options: SubmissionOptions,
): Promise<string> {
  try {
    const receipt = await handIn(host.queue, options, async (out) => {
      out.put(envelope.deliveredTo);
      for await (const chunk of message.chunks()) {
        out.put(chunk);
        if (out.full) await out.drained();
      }
      out.from(envelope.sender);
      for (const recipient of envelope.recipients) out.to(recipient);
    });
    return receipt.id;
  } catch (error) {
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
