/** Clients of qmail-send: servers and workers hand in mail, qmail-rspawn and qmail-lspawn get work. */

import { type Frame, FrameError, type FrameWriter } from "../../lib/frame.ts";
import { type Urgency, urgencies } from "../../lib/queue-door.ts";
import {
  index,
  pick,
  type Report,
  readReports,
  readVerdict,
  type Verdict,
  writeReports,
} from "./protocol.ts";

/** One recipient of a remote delivery. */
export interface RemoteRecipient {
  /** As the submitter gave it: VERP and bounces use this one. */
  readonly original: string;
  /** After percenthack and friends: what goes into RCPT. */
  readonly routed: string;
}

/** A mail that fits one frame, from open to commit. */
export interface WholeMail {
  readonly type: "mail";
  readonly session: number;
  readonly key: string;
  readonly urgency: Urgency;
  readonly prefix: string;
  readonly sender: string;
  /** Each ended by NUL. */
  readonly recipients: string;
  /** As many pieces as there are; read as one, which is a view. */
  readonly body: readonly Buffer[];
}

export type QueueMessage =
  // client -> qmail-send
  | { type: "hello"; version: number; capability: Buffer }
  /** `session` numbers are the client's choice, several may be open. `key` and `prefix` "" = none. */
  | { type: "open"; session: number; key: string; urgency: Urgency; prefix: string }
  | { type: "body"; session: number; bytes: Buffer }
  | { type: "sender"; session: number; address: string }
  /** Many recipients, each ended by NUL. */
  | { type: "recipients"; session: number; packed: Buffer }
  | { type: "commit"; session: number }
  | { type: "abort"; session: number }
  /** All of the above in one, at most BODY_CHUNK bytes of body and recipients; they need no credit. */
  | WholeMail
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
      /** Template of the fields each copy has for itself (header-prefix.ts); "" none. */
      prefix: string;
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
      /** Fields of this copy alone, filled, in front of the body; "" none. */
      prefix: string;
    }
  | { type: "announced"; capability: Buffer }
  /** Nothing of this message is left to hand out until a retry: drop the cached body. */
  | { type: "forget"; message: number };

export type BodyType = "7bit" | "8bit" | "binary";
const bodyTypes: readonly BodyType[] = ["7bit", "8bit", "binary"];

export function writeQueue(out: FrameWriter, m: QueueMessage): void {
  switch (m.type) {
    case "hello":
      out.begin(1).u32(m.version).bytes(m.capability);
      break;
    case "open":
      out.begin(2).u32(m.session).text(m.key).u8(index(urgencies, m.urgency)).text(m.prefix);
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
      writeReports(out, m.reports);
      break;
    case "worker":
      out.begin(10).bytes(m.capability).u32(m.uid);
      break;
    case "mail":
      out
        .begin(11)
        .u32(m.session)
        .text(m.key)
        .u8(index(urgencies, m.urgency))
        .text(m.prefix)
        .text(m.sender)
        .text(m.recipients)
        .pieces(m.body);
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
        .text(m.prefix)
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
        .text(m.recipient)
        .text(m.prefix);
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
      return {
        type: "open",
        session: f.u32(),
        key: f.text(),
        urgency: pick(urgencies, f.u8()),
        prefix: f.text(),
      };
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
    case 9:
      return { type: "reports", reports: readReports(f, f.u32()) };
    case 10:
      return { type: "worker", capability: Buffer.from(f.bytes()), uid: f.u32() };
    case 11:
      return {
        type: "mail",
        session: f.u32(),
        key: f.text(),
        urgency: pick(urgencies, f.u8()),
        prefix: f.text(),
        sender: f.text(),
        recipients: f.text(),
        body: [f.bytes()],
      };
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
        prefix: f.text(),
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
        prefix: f.text(),
      };
    case 40:
      return { type: "announced", capability: Buffer.from(f.bytes()) };
    case 41:
      return { type: "forget", message: f.u53() };
    default:
      throw new FrameError(`unknown queue message ${f.type}`);
  }
}

/** Bytes of body and recipients: what the queue holds in memory for it. */
export function carriedBytes({ body, recipients }: WholeMail): number {
  return body.reduce((sum, { length }) => sum + length, Buffer.byteLength(recipients));
}

/** The same mail in the messages it stands for. */
export function unfold(mail: WholeMail): QueueMessage[] {
  const { session, key, urgency, prefix, sender, recipients, body } = mail;
  return [
    { type: "open", session, key, urgency, prefix },
    ...body.map((bytes): QueueMessage => ({ type: "body", session, bytes })),
    { type: "sender", session, address: sender },
    { type: "recipients", session, packed: Buffer.from(recipients) },
    { type: "commit", session },
  ];
}
