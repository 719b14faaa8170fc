/**
 * Every message between our processes, with its type byte, fields in wire order and limits. One
 * union per channel; encoders and decoders below are the only code that knows the layout.
 *
 * | channel  | sockets                                       | who speaks first                        |
 * |----------|-----------------------------------------------|-----------------------------------------|
 * | control  | descriptor 3 of every child of qmail-start    | child: `ready` when it serves           |
 * | queue    | `queue/intake` (0660, servers), `queue/deliver` (0666: workers, rspawn, lspawn) | client: `hello` with its capability |
 * | admin    | `queue/admin` (0600)                          | client: `ask`                           |
 * | worker   | descriptor 3 of a local worker                | lspawn: `welcome`                       |
 *
 * A capability is 32 random bytes. Whoever issued it (qmail-start for daemons, lspawn for workers)
 * announced it to qmail-send with the role and uid it stands for; it says who the peer is, nothing
 * the peer claims does.
 */
import { type Frame, FrameError, FrameReader, type FrameWriter } from "../../lib/frame.ts";

/** Raised when a layout changes; peers of another version are refused. */
export const PROTOCOL_VERSION = 1;
/** Longest frame on any channel, bytes. */
export const FRAME_LIMIT = 1 << 20;
/** Most message bytes in one `body` frame. */
export const BODY_CHUNK = 65536;
/** Bodies up to this size travel with the work; larger ones are fetched by token. */
export const SMALL_BODY = 65536;
/** Body and envelope bytes a client may have under way per session before it waits for `credit`. */
export const CREDIT_WINDOW = 4 * BODY_CHUNK;
/** Longest report text kept of a delivery. qmail-send: 10000; lspawn cuts at 3000 itself. */
export const REPORT_LIMIT = 10000;
export const CAPABILITY_BYTES = 32;

/** What a peer of the queue channel may do. */
export type Role = "smtpd" | "remote" | "local" | "worker";
const roles: readonly Role[] = ["smtpd", "remote", "local", "worker"];

export type Verdict = "K" | "Z" | "D";

// ---- control: qmail-start <-> its children --------------------------------------------------

/** Listening sockets a child inherits: descriptor number and address, for the log. */
export interface Listener {
  readonly fd: number;
  readonly address: string;
}

export type ControlMessage =
  /** start -> child, first. To qmail-send the capability is empty: it hands none in. */
  | {
      type: "start";
      version: number;
      home: string;
      root: string;
      capability: Buffer;
      defaultDelivery: string;
      listeners: Listener[];
    }
  /** start -> qmail-send: this capability stands for that role and uid. */
  | { type: "announce"; capability: Buffer; role: Role; uid: number }
  /** child -> start: serving. */
  | { type: "ready" }
  /** child -> start: cannot serve, one line why; the child then exits 111. */
  | { type: "failed"; text: string }
  /** start -> child: finish or put back what runs, then exit 0. A second one changes nothing. */
  | { type: "stop" }
  /** start -> qmail-send: reread locals and virtualdomains (HUP), all due now (ALRM). */
  | { type: "reread" }
  | { type: "flush" };

// ---- queue: clients of qmail-send -----------------------------------------------------------

/** One recipient of a remote delivery. */
export interface RemoteRecipient {
  /** As the submitter gave it: VERP and bounces use this one. */
  readonly original: string;
  /** After percenthack and friends: what goes into RCPT. */
  readonly routed: string;
}

/** How one delivery ended. */
export interface Report {
  readonly delivery: number;
  readonly verdict: Verdict;
  readonly text: string;
}

export type QueueMessage =
  // client -> qmail-send
  | { type: "hello"; version: number; capability: Buffer }
  /** `session` numbers are the client's choice, several may be open. `key` "" = none. `urgent` 0|1. */
  | { type: "open"; session: number; key: string; bulk: boolean }
  | { type: "body"; session: number; bytes: Buffer }
  | { type: "sender"; session: number; address: string }
  /** Many recipients, each ended by NUL. */
  | { type: "recipients"; session: number; packed: Buffer }
  | { type: "commit"; session: number }
  | { type: "abort"; session: number }
  /** Role remote, local, worker: give me the body of this message; answered by `chunk`s. */
  | { type: "fetch"; message: number; token: Buffer }
  /** Role remote and local: deliveries that ended. */
  | { type: "reports"; reports: Report[] }
  /** Role local: lspawn started a worker with this capability; answered by `announced`. */
  | { type: "worker"; capability: Buffer; uid: number }
  // qmail-send -> client
  | { type: "welcome"; version: number }
  | { type: "credit"; session: number; bytes: number }
  | { type: "accepted"; session: number; id: number }
  /** Verdict text without letter, as `mail server temporarily rejected message (#4.3.0)`. */
  | { type: "refused"; session: number; verdict: Verdict; text: string }
  /** Body piece of a fetched or small message, `last` on the final one. */
  | { type: "chunk"; message: number; last: boolean; bytes: Buffer }
  /** To remote: a slot of work. Deliveries are numbered first, first+1, … in recipient order. A message
   *  of at most SMALL_BODY bytes is sent as one `chunk` before its first slot; larger ones are fetched. */
  | {
      type: "remote";
      message: number;
      token: Buffer;
      sizeBytes: number;
      bodyType: BodyType;
      sender: string;
      first: number;
      recipients: RemoteRecipient[];
    }
  /** To local: one delivery to `local@domain` as routed (virtual prepend included). */
  | {
      type: "local";
      message: number;
      token: Buffer;
      sizeBytes: number;
      sender: string;
      delivery: number;
      deliveryKey: string;
      original: string;
      recipient: string;
    }
  | { type: "announced"; capability: Buffer }
  /** No more work on this message for now: drop the cached body. */
  | { type: "forget"; message: number };

export type BodyType = "7bit" | "8bit" | "binary";
const bodyTypes: readonly BodyType[] = ["7bit", "8bit", "binary"];

// ---- worker: qmail-lspawn <-> local worker --------------------------------------------------

export interface UserRecord {
  readonly user: string;
  readonly uid: number;
  readonly gid: number;
  readonly home: string;
  readonly dash: string;
  readonly ext: string;
}

export type WorkerMessage =
  /** lspawn -> worker, first. `queueHome` is the MTA home, `root` the checkout. */
  | {
      type: "welcome";
      version: number;
      capability: Buffer;
      queueHome: string;
      root: string;
      defaultDelivery: string;
    }
  /** lspawn -> worker: one delivery. `asCommand`: never in process (it killed a worker before). */
  | {
      type: "run";
      delivery: number;
      deliveryKey: string;
      message: number;
      token: Buffer;
      sizeBytes: number;
      sender: string;
      local: string;
      host: string;
      user: UserRecord;
      asCommand: boolean;
    }
  /** lspawn -> worker: finish what runs and exit. */
  | { type: "stop" }
  // worker -> lspawn
  | { type: "ready" }
  | { type: "result"; report: Report }
  | { type: "heartbeat" }
  /** The delivery has program lines and holds the worker alone until its result. */
  | { type: "exclusive"; delivery: number }
  /** Not begun, give it to another worker; `program`: because it has program lines itself. */
  | { type: "back"; delivery: number; program: boolean };

// ---- admin: qmail-qread, qmail-qstat, backup ------------------------------------------------

export type AdminMessage =
  /** `qread`, `qstat`, `flush`, `reread`. */
  | { type: "ask"; version: number; verb: string }
  | { type: "text"; text: string }
  /** `code` is the exit code for the asking program. */
  | { type: "end"; code: number };

// ---- layout ----------------------------------------------------------------------------------

const index = <T>(list: readonly T[], value: T): number => list.indexOf(value);
function pick<T>(list: readonly T[], at: number): T {
  const value = list[at];
  if (value === undefined) throw new FrameError("unknown value");
  return value;
}

export function writeControl(out: FrameWriter, m: ControlMessage): void {
  switch (m.type) {
    case "start":
      out
        .begin(1)
        .u32(m.version)
        .text(m.home)
        .text(m.root)
        .bytes(m.capability)
        .text(m.defaultDelivery)
        .u32(m.listeners.length);
      for (const listener of m.listeners) out.u32(listener.fd).text(listener.address);
      break;
    case "announce":
      out.begin(2).bytes(m.capability).u8(index(roles, m.role)).u32(m.uid);
      break;
    case "ready":
      out.begin(3);
      break;
    case "failed":
      out.begin(4).text(m.text);
      break;
    case "stop":
      out.begin(5);
      break;
    case "reread":
      out.begin(6);
      break;
    case "flush":
      out.begin(7);
      break;
    default:
      m satisfies never;
  }
  out.end();
}

export function readControl(f: Frame): ControlMessage {
  switch (f.type) {
    case 1: {
      const head = {
        version: f.u32(),
        home: f.text(),
        root: f.text(),
        capability: Buffer.from(f.bytes()),
        defaultDelivery: f.text(),
      };
      const listeners: Listener[] = [];
      for (let n = f.u32(); n > 0; n--) listeners.push({ fd: f.u32(), address: f.text() });
      return { type: "start", ...head, listeners };
    }
    case 2:
      return {
        type: "announce",
        capability: Buffer.from(f.bytes()),
        role: pick(roles, f.u8()),
        uid: f.u32(),
      };
    case 3:
      return { type: "ready" };
    case 4:
      return { type: "failed", text: f.text() };
    case 5:
      return { type: "stop" };
    case 6:
      return { type: "reread" };
    case 7:
      return { type: "flush" };
    default:
      throw new FrameError(`unknown control message ${f.type}`);
  }
}

export function writeQueue(out: FrameWriter, m: QueueMessage): void {
  switch (m.type) {
    case "hello":
      out.begin(1).u32(m.version).bytes(m.capability);
      break;
    case "open":
      out
        .begin(2)
        .u32(m.session)
        .text(m.key)
        .u8(m.bulk ? 1 : 0);
      break;
    case "body":
      out.begin(3).u32(m.session).bytes(m.bytes);
      break;
    case "sender":
      out.begin(4).u32(m.session).text(m.address);
      break;
    case "recipients":
      out.begin(5).u32(m.session).bytes(m.packed);
      break;
    case "commit":
      out.begin(6).u32(m.session);
      break;
    case "abort":
      out.begin(7).u32(m.session);
      break;
    case "fetch":
      out.begin(8).u53(m.message).bytes(m.token);
      break;
    case "reports":
      out.begin(9).u32(m.reports.length);
      for (const report of m.reports) writeReport(out, report);
      break;
    case "worker":
      out.begin(10).bytes(m.capability).u32(m.uid);
      break;
    case "welcome":
      out.begin(33).u32(m.version);
      break;
    case "credit":
      out.begin(34).u32(m.session).u32(m.bytes);
      break;
    case "accepted":
      out.begin(35).u32(m.session).u53(m.id);
      break;
    case "refused":
      out.begin(36).u32(m.session).u8(m.verdict.charCodeAt(0)).text(m.text);
      break;
    case "chunk":
      out
        .begin(37)
        .u53(m.message)
        .u8(m.last ? 1 : 0)
        .bytes(m.bytes);
      break;
    case "remote":
      out
        .begin(38)
        .u53(m.message)
        .bytes(m.token)
        .u53(m.sizeBytes)
        .u8(index(bodyTypes, m.bodyType))
        .text(m.sender)
        .u53(m.first)
        .u32(m.recipients.length);
      for (const r of m.recipients)
        out.text(r.original).text(r.routed === r.original ? "" : r.routed);
      break;
    case "local":
      out
        .begin(39)
        .u53(m.message)
        .bytes(m.token)
        .u53(m.sizeBytes)
        .text(m.sender)
        .u53(m.delivery)
        .text(m.deliveryKey)
        .text(m.original)
        .text(m.recipient);
      break;
    case "announced":
      out.begin(40).bytes(m.capability);
      break;
    case "forget":
      out.begin(41).u53(m.message);
      break;
    default:
      m satisfies never;
  }
  out.end();
}

/** Buffers in the result are views; copy what outlives the read. */
export function readQueue(f: Frame): QueueMessage {
  switch (f.type) {
    case 1:
      return { type: "hello", version: f.u32(), capability: f.bytes() };
    case 2:
      return { type: "open", session: f.u32(), key: f.text(), bulk: f.u8() !== 0 };
    case 3:
      return { type: "body", session: f.u32(), bytes: f.bytes() };
    case 4:
      return { type: "sender", session: f.u32(), address: f.text() };
    case 5:
      return { type: "recipients", session: f.u32(), packed: f.bytes() };
    case 6:
      return { type: "commit", session: f.u32() };
    case 7:
      return { type: "abort", session: f.u32() };
    case 8:
      return { type: "fetch", message: f.u53(), token: Buffer.from(f.bytes()) };
    case 9: {
      const reports: Report[] = [];
      for (let n = f.u32(); n > 0; n--) reports.push(readReport(f));
      return { type: "reports", reports };
    }
    case 10:
      return { type: "worker", capability: Buffer.from(f.bytes()), uid: f.u32() };
    case 33:
      return { type: "welcome", version: f.u32() };
    case 34:
      return { type: "credit", session: f.u32(), bytes: f.u32() };
    case 35:
      return { type: "accepted", session: f.u32(), id: f.u53() };
    case 36:
      return { type: "refused", session: f.u32(), verdict: readVerdict(f), text: f.text() };
    case 37:
      return { type: "chunk", message: f.u53(), last: f.u8() !== 0, bytes: f.bytes() };
    case 38: {
      const head = {
        message: f.u53(),
        token: Buffer.from(f.bytes()),
        sizeBytes: f.u53(),
        bodyType: pick(bodyTypes, f.u8()),
        sender: f.text(),
        first: f.u53(),
      };
      const recipients: RemoteRecipient[] = [];
      for (let n = f.u32(); n > 0; n--) {
        const original = f.text();
        recipients.push({ original, routed: f.text() || original });
      }
      return { type: "remote", ...head, recipients };
    }
    case 39:
      return {
        type: "local",
        message: f.u53(),
        token: Buffer.from(f.bytes()),
        sizeBytes: f.u53(),
        sender: f.text(),
        delivery: f.u53(),
        deliveryKey: f.text(),
        original: f.text(),
        recipient: f.text(),
      };
    case 40:
      return { type: "announced", capability: Buffer.from(f.bytes()) };
    case 41:
      return { type: "forget", message: f.u53() };
    default:
      throw new FrameError(`unknown queue message ${f.type}`);
  }
}

function writeReport(out: FrameWriter, report: Report): void {
  out.u53(report.delivery).u8(report.verdict.charCodeAt(0)).text(report.text);
}

function readReport(f: Frame): Report {
  return { delivery: f.u53(), verdict: readVerdict(f), text: f.text().slice(0, REPORT_LIMIT) };
}

function readVerdict(f: Frame): Verdict {
  const letter = String.fromCharCode(f.u8());
  if (letter !== "K" && letter !== "Z" && letter !== "D") throw new FrameError("unknown verdict");
  return letter;
}

export function writeWorker(out: FrameWriter, m: WorkerMessage): void {
  switch (m.type) {
    case "welcome":
      out
        .begin(1)
        .u32(m.version)
        .bytes(m.capability)
        .text(m.queueHome)
        .text(m.root)
        .text(m.defaultDelivery);
      break;
    case "run":
      out
        .begin(2)
        .u53(m.delivery)
        .text(m.deliveryKey)
        .u53(m.message)
        .bytes(m.token)
        .u53(m.sizeBytes)
        .text(m.sender)
        .text(m.local)
        .text(m.host);
      out
        .text(m.user.user)
        .u32(m.user.uid)
        .u32(m.user.gid)
        .text(m.user.home)
        .text(m.user.dash)
        .text(m.user.ext)
        .u8(m.asCommand ? 1 : 0);
      break;
    case "stop":
      out.begin(3);
      break;
    case "ready":
      out.begin(33);
      break;
    case "result":
      out.begin(34);
      writeReport(out, m.report);
      break;
    case "heartbeat":
      out.begin(35);
      break;
    case "exclusive":
      out.begin(36).u53(m.delivery);
      break;
    case "back":
      out
        .begin(37)
        .u53(m.delivery)
        .u8(m.program ? 1 : 0);
      break;
    default:
      m satisfies never;
  }
  out.end();
}

export function readWorker(f: Frame): WorkerMessage {
  switch (f.type) {
    case 1:
      return {
        type: "welcome",
        version: f.u32(),
        capability: Buffer.from(f.bytes()),
        queueHome: f.text(),
        root: f.text(),
        defaultDelivery: f.text(),
      };
    case 2: {
      const head = {
        delivery: f.u53(),
        deliveryKey: f.text(),
        message: f.u53(),
        token: Buffer.from(f.bytes()),
        sizeBytes: f.u53(),
        sender: f.text(),
        local: f.text(),
        host: f.text(),
      };
      const user = {
        user: f.text(),
        uid: f.u32(),
        gid: f.u32(),
        home: f.text(),
        dash: f.text(),
        ext: f.text(),
      };
      return { type: "run", ...head, user, asCommand: f.u8() !== 0 };
    }
    case 3:
      return { type: "stop" };
    case 33:
      return { type: "ready" };
    case 34:
      return { type: "result", report: readReport(f) };
    case 35:
      return { type: "heartbeat" };
    case 36:
      return { type: "exclusive", delivery: f.u53() };
    case 37:
      return { type: "back", delivery: f.u53(), program: f.u8() !== 0 };
    default:
      throw new FrameError(`unknown worker message ${f.type}`);
  }
}

export function writeAdmin(out: FrameWriter, m: AdminMessage): void {
  switch (m.type) {
    case "ask":
      out.begin(1).u32(m.version).text(m.verb);
      break;
    case "text":
      out.begin(2).text(m.text);
      break;
    case "end":
      out.begin(3).u32(m.code);
      break;
    default:
      m satisfies never;
  }
  out.end();
}

export function readAdmin(f: Frame): AdminMessage {
  switch (f.type) {
    case 1:
      return { type: "ask", version: f.u32(), verb: f.text() };
    case 2:
      return { type: "text", text: f.text() };
    case 3:
      return { type: "end", code: f.u32() };
    default:
      throw new FrameError(`unknown admin message ${f.type}`);
  }
}

/** A reader with the limit every channel shares. */
export function channelReader(): FrameReader {
  return new FrameReader(FRAME_LIMIT);
}
