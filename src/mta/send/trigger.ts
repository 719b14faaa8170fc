/** The FIFO `queue/lock/trigger`: any byte means that something was dropped. */
import { constants, openSync, statSync } from "node:fs";
import { Socket } from "node:net";
import { errorText, isErrno } from "../../lib/errors.ts";

/**
 * Undefined when there is no FIFO; the slow scan remains. Opened for reading and writing, so that it
 * never reports an end when the last writer closes.
 */
export function openTrigger(
  path: string,
  pulled: () => void,
  trouble: (text: string) => void,
): Socket | undefined {
  try {
    if (!statSync(path).isFIFO()) return undefined;
    const fd = openSync(path, constants.O_RDWR | constants.O_NONBLOCK);
    const socket = new Socket({ fd, readable: true, writable: false });
    socket.on("data", pulled);
    socket.on("error", (error) => trouble(`trouble reading lock/trigger: ${errorText(error)}`));
    return socket.unref();
  } catch (error) {
    if (!isErrno(error, "ENOENT")) trouble(`unable to open lock/trigger: ${errorText(error)}`);
    return undefined;
  }
}
