/** What qmail-send needs of its home before it serves: directories, the one lock, who alias is. */
import { mkdirSync, statSync } from "node:fs";
import { join } from "node:path";
import { isErrno, TemporaryError } from "../../lib/errors.ts";
import { DriverError, lockExclusively } from "../../lib/sqlite.ts";

/** Throws TemporaryError. */
export function makeQueueDirectories(home: string): void {
  try {
    mkdirSync(join(home, "queue", "mess"), { recursive: true, mode: 0o700 });
    mkdirSync(join(home, "queue", "lock"), { recursive: true, mode: 0o750 });
  } catch (error) {
    throw new TemporaryError("unable to switch to queue directory", { cause: error });
  }
}

/** Held until the process ends. Throws TemporaryError, also when another qmail-send has it. */
export function takeSendMutex(home: string): { close(): void } {
  let lock: { close(): void } | undefined;
  try {
    lock = lockExclusively(join(home, "queue", "lock", "sendmutex"));
  } catch (error) {
    if (error instanceof DriverError) throw error;
    throw new TemporaryError("unable to open mutex", { cause: error });
  }
  if (!lock) throw new TemporaryError("qmail-send is already running");
  return lock;
}

/** Owner of the alias directory when it is not `own`: the uid qmail calls `alias`. */
export function aliasUid(home: string, own: number): number | undefined {
  try {
    const { uid } = statSync(join(home, "alias"));
    return uid === own ? undefined : uid;
  } catch (error) {
    if (isErrno(error, "ENOENT")) return undefined;
    throw error;
  }
}
