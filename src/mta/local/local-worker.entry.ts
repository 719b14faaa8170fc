/**
 * The process of a local worker: started by qmail-lspawn with the uid and gid of a user, talks to it on
 * descriptor 3 and leaves when that closes. Fetches bodies from, and hands mail to, queue/deliver.
 */
import { hostname, tmpdir } from "node:os";
import { join } from "node:path";
import { findProgram } from "../../programs.ts";
import { Channel } from "../channel/channel.ts";
import { PROTOCOL_VERSION, SMALL_BODY } from "../channel/protocol.ts";
import { connectQueue } from "../channel/queue-client.ts";
import { inheritQuietly } from "../channel/quiet-socket.ts";
import { readWorker, type WorkerMessage, writeWorker } from "../channel/worker-messages.ts";
import { commandQueue } from "../inject/command-queue.ts";
import { BodyCache } from "./body-cache.ts";
import { HEARTBEAT_MS, RESULTS_GATHER_MS } from "./limits.ts";
import { MaildirWriter } from "./maildir.ts";
import { MaildirNames } from "./maildir-names.ts";
import { StoredMessage } from "./stored-message.ts";
import { Worker } from "./worker.ts";

// Files of a delivery, and what its commands make, are the user's alone (qmail reference 8.1).
process.umask(0o077);
// qmail-lspawn says when to stop; a terminal's signals reach the whole group.
for (const signal of ["SIGTERM", "SIGINT", "SIGHUP", "SIGALRM", "SIGQUIT"] as const) {
  process.on(signal, () => {});
}

/** Lists work here, and with a database that waits for nobody; what other lines run waits for a child. */
const LIST_PROGRAM = /\bezmlm-/;

let worker: Worker | undefined;

function leave(code: number): void {
  worker?.abort();
  channel.flush();
  // Programs of deliveries get SIGTERM first; nobody waits for the reports any more.
  setTimeout(() => process.exit(code), code === 0 ? 0 : 100);
}

/** Program lines have our uid, unless they are setuid: those we could not end in any way. */
function signalGroup(leader: number, signal: NodeJS.Signals | 0): boolean {
  try {
    return process.kill(-leader, signal);
  } catch {
    return false;
  }
}

async function serve(welcome: Extract<WorkerMessage, { type: "welcome" }>): Promise<void> {
  const { queueHome, root, defaultDelivery } = welcome;
  const queue = await connectQueue(join(queueHome, "queue", "deliver"), welcome.capability, {
    closed: () => leave(111),
  });
  const now = (): Date => new Date();
  const directory = process.env.TMPDIR || tmpdir();
  const env = { ...process.env };
  worker = new Worker({
    site: {
      findProgram,
      // The site's own qmail-queue comes before ours, as for commands.
      queue: env.QMAILQUEUE ? commandQueue({ home: queueHome, pid: process.pid }, env) : queue,
      home: queueHome,
      root,
      uid: process.getuid?.() ?? 0,
      gid: process.getgid?.() ?? 0,
      pid: process.pid,
      signalGroup,
      env,
      maildirs: new MaildirWriter(new MaildirNames(process.pid, hostname()), now),
      now,
    },
    bodies: new BodyCache(async (message, token, sizeBytes) =>
      sizeBytes <= SMALL_BODY
        ? StoredMessage.of(await queue.fetchSmall(message, token), directory)
        : StoredMessage.from(queue.fetch(message, token, sizeBytes), directory, SMALL_BODY),
    ),
    defaultDelivery,
    needsWorker: (line) => LIST_PROGRAM.test(line),
    send: (message) => channel.send(message),
    stopped: () => leave(0),
  });
  setInterval(() => channel.send({ type: "heartbeat" }), HEARTBEAT_MS);
  channel.send({ type: "ready" });
}

const channel = new Channel<WorkerMessage, WorkerMessage>(
  inheritQuietly(3),
  writeWorker,
  readWorker,
  {
    message(message) {
      if (message.type !== "welcome") worker?.receive(message);
      else if (message.version !== PROTOCOL_VERSION) leave(111);
      else
        serve({ ...message, capability: Buffer.from(message.capability) }).catch(() => leave(111));
    },
    closed: () => leave(111),
  },
);
channel.gather(RESULTS_GATHER_MS);
