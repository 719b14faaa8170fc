/** Runs the program whose exit code decides: condredirect, bouncesaying and except share the rules. */
import { isTemporaryErrno, TemporaryError } from "../../lib/errors.ts";
import { TEMPORARY } from "../../lib/exit-code.ts";
import type { MessageInput } from "../../lib/message-input.ts";
import type { Host } from "../../lib/program.ts";

/**
 * True: exit code 0. False: any other, also when there is no such program. Throws TemporaryError for
 * 111, which the program has explained itself, for a crash, and when it could not be started now.
 */
export async function holds(
  host: Host,
  argv: readonly string[],
  stdin: MessageInput,
): Promise<boolean> {
  try {
    const status = await host.commands.exec(argv, { stdin });
    if (status.signal !== undefined) throw new TemporaryError("Child crashed.");
    if (status.code === TEMPORARY) throw new TemporaryError("Temporary failure of the child.");
    return status.code === 0;
  } catch (error) {
    if (error instanceof TemporaryError) throw error;
    if (isTemporaryErrno(error)) {
      throw new TemporaryError("Unable to run the child.", { cause: error });
    }
    return false;
  }
}
