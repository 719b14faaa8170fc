/** The reader thread: pages, bodies and checkpoints, so that the writer never waits for them. */
import { parentPort, workerData } from "node:worker_threads";
import { causeText } from "../../lib/errors.ts";
import { openDatabase } from "../../lib/sqlite.ts";
import { queueMigrations } from "./schema.ts";
import { QueueView } from "./view.ts";
import type { ReadRequest } from "./work.ts";

const { database } = workerData as { database: string };
const db = openDatabase(database, queueMigrations, { queryOnly: true });
const view = new QueueView(db);
parentPort?.on("message", (message: { ticket: number; request: ReadRequest } | null) => {
  if (message === null) {
    db.close();
    parentPort?.close();
    return;
  }
  try {
    parentPort?.postMessage({ ticket: message.ticket, value: view.answer(message.request) });
  } catch (error) {
    parentPort?.postMessage({ ticket: message.ticket, error: causeText(error) });
  }
});
parentPort?.postMessage("open");
