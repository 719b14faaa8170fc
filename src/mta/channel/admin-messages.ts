/** Who asks qmail-send about its queue: qmail-qread, qmail-qstat. */
import { type Frame, FrameError, type FrameWriter } from "../../lib/frame.ts";

export type AdminMessage =
  /** `qread`, `qstat`, `flush`, `reread`. */
  | { type: "ask"; version: number; verb: string }
  | { type: "text"; text: string }
  /** `code` is the exit code for the asking program. */
  | { type: "end"; code: number };

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
