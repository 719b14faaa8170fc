/** A message with lines put before it; readable as often as the message itself. */
import type { MessageInput } from "../../lib/message-input.ts";

export function prefixedInput(prefix: string, input: MessageInput): MessageInput {
  return {
    async *chunks() {
      yield Buffer.from(prefix);
      yield* input.chunks();
    },
  };
}
