/** qmail-start and its children, on descriptor 3. */
import { type Frame, FrameError, type FrameWriter } from "../../lib/frame.ts";
import { index, pick, type Role, roles } from "./protocol.ts";

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
  /**
   * start -> child: exit 0 when what runs has ended; all but qmail-send wait for a few seconds only. A second
   * one changes nothing.
   */
  | { type: "stop" }
  /** start -> qmail-send, after stop: wait for a few seconds, too, then put back what runs. */
  | { type: "hurry" }
  /** start -> qmail-send: reread locals and virtualdomains (HUP), all due now (ALRM). */
  | { type: "reread" }
  | { type: "flush" };

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
    case "hurry":
      out.begin(8);
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
    case 8:
      return { type: "hurry" };
    case 6:
      return { type: "reread" };
    case 7:
      return { type: "flush" };
    default:
      throw new FrameError(`unknown control message ${f.type}`);
  }
}
