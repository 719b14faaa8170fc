/** A message that a condition reads before we do: a pipe is read once and kept. */
import { bufferInput, type MessageInput, readAll } from "../../lib/message-input.ts";
import type { Host } from "../../lib/program.ts";

/** Input that can be read again. Most messages are files or in memory already. */
export async function replayable(host: Host): Promise<MessageInput> {
  const { stdin } = host;
  const again = stdin.buffer !== undefined || stdin.path !== undefined || stdin.fd !== undefined;
  return again ? stdin : bufferInput(await readAll(stdin));
}
