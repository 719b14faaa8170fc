/**
 * The log thread: writes what it is given to descriptor 1 and says so. It may block on a stalled
 * reader; nobody else does.
 */
import { writeSync } from "node:fs";
import { parentPort } from "node:worker_threads";
import { isErrno } from "./errors.ts";

const nap = new Int32Array(new SharedArrayBuffer(4));

function writeAll(text: string): void {
  const bytes = Buffer.from(text);
  for (let at = 0; at < bytes.length; ) {
    try {
      at += writeSync(1, bytes, at);
    } catch (error) {
      // Somebody made the descriptor non-blocking: wait for the reader here.
      if (isErrno(error, "EAGAIN")) Atomics.wait(nap, 0, 0, 10);
      else if (isErrno(error, "EPIPE"))
        return; // no reader will ever come back
      else throw error;
    }
  }
}

parentPort?.on("message", (text: string | null) => {
  if (text === null) {
    parentPort?.close();
    return;
  }
  writeAll(text);
  parentPort?.postMessage(text.length);
});
