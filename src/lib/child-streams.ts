/** What goes into a child process and what comes out of it. */
import type { ChildProcess } from "node:child_process";
import type { Readable } from "node:stream";
import type { MessageInput } from "./message-input.ts";
import type { Output } from "./program.ts";

/** Gives the input to a child that reads a pipe. A child that stops reading is no error. */
export async function feedChild(input: MessageInput, child: ChildProcess): Promise<void> {
  const pipe = child.stdin;
  if (!pipe) return;
  const gone = new Promise<void>((resolve) => {
    pipe.on("error", () => {});
    pipe.on("close", resolve);
  });
  for await (const chunk of input.chunks()) {
    if (pipe.destroyed) return;
    if (!pipe.write(chunk)) {
      await Promise.race([new Promise((drained) => pipe.once("drain", drained)), gone]);
    }
  }
  pipe.end();
}

/** Passes on what a child writes, no faster than it is taken, until the child or we close the pipe. */
export async function copyOutput(from: Readable | null, to: Output | undefined): Promise<void> {
  if (!from || !to) return;
  try {
    for await (const chunk of from) {
      to.write(chunk as Buffer);
      await to.flush();
    }
  } catch (error) {
    if (!from.destroyed) throw error;
  }
}
