/** Stands for a local worker: does what the local part of each delivery says. */
import { Socket } from "node:net";
import { Channel } from "../../../src/mta/channel/channel.ts";
import {
  readWorker,
  type WorkerMessage,
  writeWorker,
} from "../../../src/mta/channel/worker-messages.ts";

const channel: Channel<WorkerMessage, WorkerMessage> = new Channel(
  new Socket({ fd: 3, readable: true, writable: true }),
  writeWorker,
  readWorker,
  {
    message(message) {
      if (message.type === "welcome") channel.send({ type: "ready" });
      if (message.type === "stop") {
        channel.flush();
        process.exit(0);
      }
      if (message.type !== "run") return;
      const { delivery, local, asCommand } = message;
      const alone = ["hang", "crash", "quick-program"].includes(local) && !asCommand;
      const program = alone || asCommand || /^(sleep|quick-line|kill)/.test(local);
      if (program) channel.send({ type: "program", delivery, alone });
      channel.flush();
      if (asCommand) report(delivery, "as command");
      else if (/^(crash|kill)/.test(local)) process.exit(1);
      else if (local === "exit-after-report") {
        report(delivery, "reported");
        channel.flush();
        process.exit(0);
      } else if (local === "garbage") channel.send({ type: "stop" });
      else if (local !== "hang" && !local.startsWith("sleep"))
        report(delivery, `by ${process.pid}`);
    },
    closed: () => process.exit(111),
  },
);

function report(delivery: number, text: string): void {
  channel.send({ type: "results", reports: [{ delivery, verdict: "K", text }] });
}

setInterval(() => {}, 1000);
