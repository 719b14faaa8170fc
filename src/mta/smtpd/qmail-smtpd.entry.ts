/**
 * The SMTP listener as a child of qmail-start: control channel on descriptor 3, listening sockets on
 * the descriptors named in `start`. Signals meant for the service go to qmail-start, which says
 * `stop`; a closed control channel means that it died, and we follow.
 */
import { spawn } from "node:child_process";
import { Socket } from "node:net";
import { join } from "node:path";
import { errorText } from "../../lib/errors.ts";
import { tcpHandles } from "../../lib/tcp-handle.ts";
import { Channel } from "../channel/channel.ts";
import { type ControlMessage, readControl, writeControl } from "../channel/control-messages.ts";
import { PROTOCOL_VERSION } from "../channel/protocol.ts";
import { ProgramQueue } from "../inject/program-queue.ts";
import { SmtpListener } from "./listener.ts";
import { QueueLink } from "./queue-link.ts";

const log = (line: string): void => {
  process.stderr.write(`${line}\n`);
};
process.stderr.on("error", () => {}); // a log reader that died must not take the mail with it
for (const signal of ["SIGTERM", "SIGINT", "SIGHUP"] as const) process.on(signal, () => {});

let listener: SmtpListener | undefined;
let link: QueueLink | undefined;

async function serve(start: ControlMessage & { type: "start" }): Promise<void> {
  if (start.version !== PROTOCOL_VERSION) throw new Error("qmail-start speaks another version");
  const queue = new QueueLink(join(start.home, "queue", "intake"), start.capability, (text) =>
    listener?.warn(text),
  );
  link = queue;
  const own = { ...process.env };
  listener = new SmtpListener({
    home: start.home,
    env: own,
    queue(client) {
      // Somebody's qmail-queue, for all clients or by tcp.smtp.cdb: content filters live there.
      const program = client.QMAILQUEUE ?? own.QMAILQUEUE;
      if (!program) return queue.door;
      return new ProgramQueue(program, start.home, { ...own, ...client }, async () => spawn);
    },
    handles: tcpHandles(process),
    log,
  });
  await queue.start();
  for (const { fd } of start.listeners) await listener.listen({ fd });
}

async function finish(code: number): Promise<void> {
  await listener?.stop();
  link?.stop();
  process.exit(code);
}

const control = new Channel<ControlMessage, ControlMessage>(
  new Socket({ fd: 3, readable: true, writable: true }),
  writeControl,
  readControl,
  {
    message(message) {
      if (message.type === "stop") void finish(0);
      if (message.type !== "start") return;
      serve(message).then(
        () => control.send({ type: "ready" }),
        async (error: unknown) => {
          control.send({ type: "failed", text: `qmail-smtpd: ${errorText(error)}` });
          await control.drained();
          process.exit(111);
        },
      );
    },
    closed: () => void finish(0),
  },
);
