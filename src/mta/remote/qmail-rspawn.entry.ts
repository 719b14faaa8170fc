/**
 * NAME         qmail-rspawn - deliver mail to other hosts
 * SYNOPSIS     started by qmail-start
 * DESCRIPTION  Takes slots of remote deliveries from qmail-send over queue/deliver and sends the
 *              messages by SMTP, many over one connection where the other side permits. Reports how
 *              each delivery ended. Runs until its control channel or the queue is gone; qmail-send
 *              then puts back what was not reported.
 * ENVIRONMENT  QMAILREMOTE  a program to run per delivery instead, as qmail-remote is run.
 *              TMPDIR       where large messages are spooled, in files without a name.
 * FILES        control/helohost control/me control/smtproutes control/timeoutconnect
 *              control/timeoutremote queue/lock/tcpto
 * EXIT CODES   0 stopped. 111 the queue is gone or refuses us.
 * SECURITY     Every reply of a server is hostile input; memory per connection is limited.
 * BUGS         Signals are ignored: qmail-start says when to stop.
 * SEE ALSO     qmail-remote, qmail-tcpto, qmail-send
 */
import { connect, Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { systemResolver } from "../../lib/dns.ts";
import { errorText } from "../../lib/errors.ts";
import { Channel } from "../channel/channel.ts";
import { type ControlMessage, readControl, writeControl } from "../channel/control-messages.ts";
import { PROTOCOL_VERSION } from "../channel/protocol.ts";
import { QueueClient } from "../channel/queue-client.ts";
import { type QueueMessage, readQueue, writeQueue } from "../channel/queue-messages.ts";
import { ControlCache } from "./controls.ts";
import { Engine, engineLimits } from "./engine.ts";
import { ownAddressTest } from "./mx.ts";
import { Rspawn } from "./qmail-rspawn.ts";
import { TimeoutFile } from "./tcpto.ts";

/** How long running deliveries get once we are told to stop. */
const STOP_MS = 6000;

for (const signal of ["SIGTERM", "SIGINT", "SIGHUP", "SIGALRM", "SIGQUIT"] as const) {
  process.on(signal, () => {});
}

let rspawn: Rspawn | undefined;
let queue: Channel<QueueMessage, QueueMessage> | undefined;
let stopping = false;

function leave(code: number): never {
  rspawn?.close();
  process.exit(code);
}

function serve(start: Extract<ControlMessage, { type: "start" }>): void {
  const { home } = start;
  const capability = Buffer.from(start.capability);
  const path = join(home, "queue", "deliver");
  const controls = new ControlCache(home, Date.now);
  const engine = new Engine({
    controls: () => controls.get(),
    resolver: systemResolver(),
    isOwn: ownAddressTest(),
    timeouts: new TimeoutFile(join(home, "queue", "lock", "tcpto"), process.pid),
    limits: engineLimits,
    now: Date.now,
    random: Math.random,
  });
  const channel = new Channel<QueueMessage, QueueMessage>(connect(path), writeQueue, readQueue, {
    message(message) {
      if (message.type !== "welcome") return rspawn?.receive(message);
      if (message.version !== PROTOCOL_VERSION) {
        control.send({ type: "failed", text: "qmail-send speaks another version" });
        control.flush();
        leave(111);
      }
      control.send({ type: "ready" });
    },
    closed(error) {
      if (error) process.stderr.write(`qmail-rspawn: queue lost: ${errorText(error)}\n`);
      leave(stopping ? 0 : 111);
    },
  });
  queue = channel;
  let bodies: QueueClient | undefined;
  rspawn = new Rspawn({
    engine,
    async *fetch(message, token, sizeBytes) {
      // Not over the channel of the work, so that a body never holds back slots or reports.
      if (!bodies || bodies.closed) bodies = new QueueClient(path, capability);
      await bodies.welcomed;
      yield* bodies.fetch(message, token, sizeBytes);
    },
    send: (reports) => channel.send({ type: "reports", reports }),
    directory: tmpdir(),
    program: process.env.QMAILREMOTE || undefined,
    env: process.env,
  });
  channel.send({ type: "hello", version: PROTOCOL_VERSION, capability });
}

const control = new Channel<ControlMessage, ControlMessage>(
  new Socket({ fd: 3, readable: true, writable: true }),
  writeControl,
  readControl,
  {
    message(message) {
      if (message.type === "start" && !rspawn) serve(message);
      if (message.type === "stop" && !stopping) {
        stopping = true;
        if (!rspawn) leave(0);
        // The last reports leave first; the end of the queue channel is ours then.
        void rspawn.stop(STOP_MS).then(() => queue?.end());
      }
    },
    closed: () => leave(0),
  },
);
