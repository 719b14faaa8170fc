/** qmail-lspawn and its local workers, on descriptor 3. */
import { type Frame, FrameError, type FrameWriter } from "../../lib/frame.ts";
import { type Report, readReports, writeReports } from "./protocol.ts";

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
      /** Fields of this copy alone, in front of the body; "" none. */
      prefix: string;
      asCommand: boolean;
    }
  /** lspawn -> worker: finish what runs and exit. */
  | { type: "stop" }
  // worker -> lspawn
  | { type: "ready" }
  /** Deliveries that ended. */
  | { type: "results"; reports: Report[] }
  | { type: "heartbeat" }
  /** The delivery has program lines and may take long; `alone`: until its result the worker is its own. */
  | { type: "program"; delivery: number; alone: boolean }
  /** Not begun, give it to another worker; `alone`: because it needs one to itself. */
  | { type: "back"; delivery: number; alone: boolean };

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
        .text(m.prefix)
        .u8(m.asCommand ? 1 : 0);
      break;
    case "stop":
      out.begin(3);
      break;
    case "ready":
      out.begin(33);
      break;
    case "results":
      out.begin(34).u32(m.reports.length);
      writeReports(out, m.reports);
      break;
    case "heartbeat":
      out.begin(35);
      break;
    case "program":
    case "back":
      out
        .begin(m.type === "program" ? 36 : 37)
        .u53(m.delivery)
        .u8(m.alone ? 1 : 0);
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
    case 2:
      return {
        type: "run",
        delivery: f.u53(),
        deliveryKey: f.text(),
        message: f.u53(),
        token: Buffer.from(f.bytes()),
        sizeBytes: f.u53(),
        sender: f.text(),
        local: f.text(),
        host: f.text(),
        user: {
          user: f.text(),
          uid: f.u32(),
          gid: f.u32(),
          home: f.text(),
          dash: f.text(),
          ext: f.text(),
        },
        prefix: f.text(),
        asCommand: f.u8() !== 0,
      };
    case 3:
      return { type: "stop" };
    case 33:
      return { type: "ready" };
    case 34:
      return { type: "results", reports: readReports(f, f.u32()) };
    case 35:
      return { type: "heartbeat" };
    case 36:
      return { type: "program", delivery: f.u53(), alone: f.u8() !== 0 };
    case 37:
      return { type: "back", delivery: f.u53(), alone: f.u8() !== 0 };
    default:
      throw new FrameError(`unknown worker message ${f.type}`);
  }
}
