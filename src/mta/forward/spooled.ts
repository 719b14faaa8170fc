/**
 * The message where it can be read more than once: to make its submission key, and to run a program on it,
 * before it is sent. What comes through a pipe is spooled, a large one to a file without a name.
 */
import { tmpdir } from "node:os";
import { errorText, PermanentError, TemporaryError } from "../../lib/errors.ts";
import { isRereadable, type MessageInput } from "../../lib/message-input.ts";
import type { Host } from "../../lib/program.ts";
import { SMALL_BODY } from "../channel/protocol.ts";
import { StoredMessage } from "../local/stored-message.ts";

/** Resolves to what `work` does; the spooled message is gone then. TemporaryError: it cannot be kept. */
export async function spooled<T>(
  host: Pick<Host, "env">,
  input: MessageInput,
  work: (message: MessageInput) => Promise<T>,
): Promise<T> {
  if (isRereadable(input)) return work(input);
  const message = await spool(input, host.env.TMPDIR || tmpdir());
  try {
    return await work(message);
  } finally {
    message.close();
  }
}

async function spool(input: MessageInput, directory: string): Promise<StoredMessage> {
  try {
    return await StoredMessage.from(input.chunks(), directory, SMALL_BODY);
  } catch (error) {
    if (error instanceof PermanentError || error instanceof TemporaryError) throw error;
    const text = `Unable to keep message in ${directory}: ${errorText(error)}. (#4.3.0)`;
    throw new TemporaryError(text, { cause: error });
  }
}
