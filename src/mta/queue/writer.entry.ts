/** The writer thread: the only connection that writes the queue. Started by queue.ts. */
import { parentPort, workerData } from "node:worker_threads";
import { openDatabase } from "../../lib/sqlite.ts";
import { type PostedBatch, packAnswers, unpackBatch } from "./batch.ts";
import { Failpoint } from "./failpoint.ts";
import { queueMigrations } from "./schema.ts";
import { Store } from "./store.ts";
import { Writer } from "./writer.ts";

const { database, mess, failpoint } = workerData as {
  database: string;
  mess: string;
  failpoint: string | undefined;
};
const db = openDatabase(database, queueMigrations, {
  synchronous: "FULL",
  checkpointElsewhere: true,
});
// What a checkpoint could not keep shorter becomes this long again.
db.pragma(`journal_size_limit = ${64 << 20}`);
const point = new Failpoint(failpoint, () => process.kill(process.pid, "SIGKILL"));
const writer = new Writer(new Store(db), mess, point);
parentPort?.on("message", (batch: PostedBatch | null) => {
  if (batch === null) {
    db.close();
    parentPort?.close();
    return;
  }
  const operations = unpackBatch(batch);
  const answers = packAnswers(operations, writer.run(operations), batch.accepts);
  parentPort?.postMessage(answers, [answers.buffer]);
});
parentPort?.postMessage("open");
