/**
 * The queue door of a command: the program in QMAILQUEUE when that is set, else the drop directory
 * in this process, which is what the program qmail-queue would do one process later.
 */
import type { Environment } from "../../lib/program.ts";
import type { QueueDoor } from "../../lib/queue-door.ts";
import { type DropOrigin, DropQueue } from "./drop-queue.ts";
import { ProgramQueue } from "./program-queue.ts";

/**
 * `env.QMAILDELIVERY` is `<delivery key>/<instruction>` in a program line of a .qmail file; it makes
 * the keys of submissions unique, so that a re-run queues nothing twice (design 6).
 */
export function commandQueue(origin: DropOrigin, env: Environment): QueueDoor {
  const program = env.QMAILQUEUE;
  if (program) {
    const spawn = async () => (await import("node:child_process")).spawn;
    return new ProgramQueue(program, origin.home, env, spawn);
  }
  return new DropQueue(origin, env.QMAILDELIVERY ?? "");
}
