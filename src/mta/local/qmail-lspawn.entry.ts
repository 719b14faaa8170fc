/**
 * NAME         qmail-lspawn - deliver mail locally
 * SYNOPSIS     started by qmail-start
 * DESCRIPTION  Takes local deliveries from qmail-send over queue/deliver, finds the user of each
 *              address in users/cdb, users/assign or the system accounts, and gives it to a worker
 *              process that runs as that user. A users/cdb at least as new as users/assign wins;
 *              else assign is read directly. Without root every delivery runs under our own uid, and
 *              only users/assign says whose an address is.
 * ENVIRONMENT  Workers inherit it, without what steers node or the dynamic linker; bin/ of the
 *              installation is put before PATH when it is not in it.
 * FILES        users/assign users/cdb /etc/passwd
 * EXIT CODES   0 stopped. 111 the queue is gone or refuses us.
 * SECURITY     Runs as root; reads no message and no file of a user. Never delivers as root.
 * BUGS         Signals are ignored: qmail-start says when to stop.
 * SEE ALSO     qmail-local, qmail-newu, qmail-getpw, qmail-send
 */
import { randomBytes } from "node:crypto";
import { Socket } from "node:net";
import { join } from "node:path";
import { errorText } from "../../lib/errors.ts";
import { Channel } from "../channel/channel.ts";
import { type ControlMessage, readControl, writeControl } from "../channel/control-messages.ts";
import { CAPABILITY_BYTES, PROTOCOL_VERSION } from "../channel/protocol.ts";
import { type QueueMessage, readQueue, writeQueue } from "../channel/queue-messages.ts";
import { connectQuietly } from "../channel/quiet-socket.ts";
import { workerLimits } from "./limits.ts";
import { Lspawn } from "./lspawn.ts";
import { SystemAccounts } from "./system-accounts.ts";
import { Users } from "./users.ts";
import { workerEnvironment } from "./worker-env.ts";
import { WorkerPool } from "./worker-pool.ts";

/** How long running deliveries get once we are told to stop. */
const STOP_MS = 5000;
/** How long workers get then to end the programs that still run. */
const DISMISS_MS = 2000;
const TICK_MS = 5000;

for (const signal of ["SIGTERM", "SIGINT", "SIGHUP", "SIGALRM", "SIGQUIT"] as const) {
  process.on(signal, () => {});
}

let pool: WorkerPool | undefined;
let lspawn: Lspawn | undefined;
let queue: Channel<QueueMessage, QueueMessage> | undefined;

function leave(code: number): never {
  pool?.kill();
  process.exit(code);
}

function serve(start: Extract<ControlMessage, { type: "start" }>): void {
  const { home, root, defaultDelivery } = start;
  const own = { uid: process.getuid?.() ?? 0, gid: process.getgid?.() ?? 0 };
  const users = new Users(home, new SystemAccounts(), own);
  const channel = new Channel<QueueMessage, QueueMessage>(
    connectQuietly(join(home, "queue", "deliver")),
    writeQueue,
    readQueue,
    {
      message(message) {
        if (message.type !== "welcome") return lspawn?.receive(message);
        if (message.version !== PROTOCOL_VERSION) {
          control.send({ type: "failed", text: "qmail-send speaks another version" });
          control.flush();
          leave(111);
        }
        control.send({ type: "ready" });
      },
      closed(error) {
        if (error) process.stderr.write(`qmail-lspawn: queue lost: ${errorText(error)}\n`);
        leave(111);
      },
    },
  );
  queue = channel;
  const spawner = new Lspawn(
    users,
    (message) => channel.send(message),
    (text) => process.stderr.write(`qmail-lspawn: warning: ${text}\n`),
  );
  lspawn = spawner;
  pool = new WorkerPool({
    limits: workerLimits,
    start: {
      node: process.execPath,
      entry: join(root, "dist", "local-worker.entry.cjs"),
      env: workerEnvironment(process.env, root),
      setsIds: own.uid === 0,
      welcome: { version: PROTOCOL_VERSION, queueHome: home, root, defaultDelivery },
    },
    announce: (uid) => spawner.announce(randomBytes(CAPABILITY_BYTES), uid),
    report: (report) => spawner.report(report),
    now: () => performance.now(),
  });
  spawner.use(pool);
  setInterval(() => pool?.tick(), TICK_MS);
  channel.send({
    type: "hello",
    version: PROTOCOL_VERSION,
    capability: Buffer.from(start.capability),
  });
}

/** Finish what runs, for a while; qmail-send puts back what gets no report. */
function stop(): void {
  const deadline = performance.now() + STOP_MS;
  pool?.stop();
  const timer = setInterval(() => {
    const isDone = (lspawn?.pending ?? 0) === 0;
    if (!isDone && performance.now() < deadline) return;
    clearInterval(timer);
    lspawn?.sendReports();
    queue?.flush();
    if (isDone) setTimeout(() => leave(0), 20);
    else dismiss();
  }, 20);
}

/** Killed too early a worker would leave its programs behind. */
function dismiss(): void {
  const deadline = performance.now() + DISMISS_MS;
  pool?.dismiss();
  setInterval(() => {
    if (pool?.workerPids.length === 0 || performance.now() > deadline) leave(0);
  }, 20);
}

let stopping = false;
const control = new Channel<ControlMessage, ControlMessage>(
  new Socket({ fd: 3, readable: true, writable: true }),
  writeControl,
  readControl,
  {
    message(message) {
      if (message.type === "start") serve(message);
      if (message.type === "stop" && !stopping) {
        stopping = true;
        stop();
      }
    },
    closed: () => leave(111),
  },
);
