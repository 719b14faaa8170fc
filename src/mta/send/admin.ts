/**
 * `queue/admin` (0600): qmail-qread, qmail-qstat and the signals in words. Answers page by page at
 * the pace of the reader, so that listing a long queue costs no memory. qmail reference 7.8.
 */
import type { Socket } from "node:net";
import { causeText } from "../../lib/errors.ts";
import { type AdminMessage, readAdmin, writeAdmin } from "../channel/admin-messages.ts";
import { Channel } from "../channel/channel.ts";
import { PROTOCOL_VERSION } from "../channel/protocol.ts";
import { hasBit, unpackRecipients } from "../queue/packed.ts";
import type { Queue } from "../queue/queue.ts";
import { BOUNCING } from "../queue/states.ts";
import type { JobRow } from "../queue/work.ts";

const PAGE = 100;
const months = "Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec".split(" ");

export interface AdminActions {
  readonly queue: Pick<Queue, "read">;
  flush(): Promise<void>;
  reread(): Promise<void>;
}

export function serveAdmin(socket: Socket, actions: AdminActions): void {
  const channel = new Channel<AdminMessage, AdminMessage>(socket, writeAdmin, readAdmin, {
    message: (message) => {
      if (message.type !== "ask" || message.version !== PROTOCOL_VERSION) socket.destroy();
      else void answer(message.verb, actions, channel);
    },
    closed: () => {},
  });
}

type AdminChannel = Channel<AdminMessage, AdminMessage>;

async function answer(verb: string, actions: AdminActions, channel: AdminChannel): Promise<void> {
  let code = 0;
  try {
    if (verb === "qread") await qread(actions.queue, channel);
    else if (verb === "qstat") await qstat(actions.queue, channel);
    else if (verb === "flush") await actions.flush();
    else if (verb === "reread") await actions.reread();
    else code = 100;
  } catch (error) {
    channel.send({ type: "text", text: `fatal: unable to read queue: ${causeText(error)}\n` });
    code = 111;
  }
  channel.send({ type: "end", code });
  channel.end();
}

async function qstat(queue: Pick<Queue, "read">, channel: AdminChannel): Promise<void> {
  const { messages, todo } = await queue.read({ kind: "counts" });
  const text =
    `messages in queue: ${messages}\n` + `messages in queue but not yet preprocessed: ${todo}\n`;
  channel.send({ type: "text", text });
}

async function qread(queue: Pick<Queue, "read">, channel: AdminChannel): Promise<void> {
  for (let after = 0; ; ) {
    const page = await queue.read({ kind: "list", after, limit: PAGE });
    for (const row of page) {
      const bouncing = row.failures > 0 || row.state === BOUNCING ? " bouncing" : "";
      const head = `${gmt(row.born)} GMT  #${row.id}  ${row.size}  <${shown(row.sender)}> ${bouncing}`;
      channel.send({ type: "text", text: `${head}\n` });
      await listJobs(queue, row.id, channel);
      if (channel.closed) return;
    }
    if (page.length < PAGE) return;
    after = page.at(-1)?.id ?? 0;
  }
}

async function listJobs(
  queue: Pick<Queue, "read">,
  message: number,
  channel: AdminChannel,
): Promise<void> {
  for (let after = 0; ; ) {
    const jobs = await queue.read({ kind: "jobsOf", message, after, limit: PAGE });
    for (const job of jobs) channel.send({ type: "text", text: jobLines(job) });
    await channel.drained();
    if (jobs.length < PAGE || channel.closed) return;
    after = jobs.at(-1)?.id ?? 0;
  }
}

function jobLines(job: JobRow): string {
  const name = job.site.startsWith("L") ? "local" : "remote";
  const { routed } = unpackRecipients(job.packed);
  return routed
    .map(
      (address, at) => `${hasBit(job.settled, at) ? "  done" : ""}\t${name}\t${shown(address)}\n`,
    )
    .join("");
}

function shown(text: string): string {
  return text.replace(/[^\x21-\x7e]/g, "_");
}

function gmt(seconds: number): string {
  const d = new Date(seconds * 1000);
  const clock = d.toISOString().slice(11, 19);
  return `${d.getUTCDate()} ${months[d.getUTCMonth()]} ${d.getUTCFullYear()} ${clock}`;
}
