/**
 * Replies of an SMTP server, cut from the byte stream. A reply is handed on as a range of the
 * receive buffer: the common `250 ok` makes no string. Chunk boundaries never matter.
 * RFC 5321 4.2.
 */

const LF = 10;
const HYPHEN = 45;
/** A server that sends more than this without completing a reply is not talking SMTP. */
const LONGEST = 65536;
/** Bytes of a reply that are remembered for reports. */
const REMEMBERED = 5000;

/** `code` is 200 to 599, or 0 for what is no SMTP reply. The bytes include the last LF. */
export type ReplyHandler = (code: number, data: Buffer, from: number, to: number) => void;

export class ReplyReader {
  private readonly handler: ReplyHandler;
  private pending: Buffer | undefined;
  /** Where in `pending` the line that is not complete yet starts. */
  private lineAt = 0;
  private stopped = false;

  constructor(handler: ReplyHandler) {
    this.handler = handler;
  }

  /** Bytes of a reply not complete yet. */
  get pendingBytes(): number {
    return this.pending?.length ?? 0;
  }

  /** Drop what is buffered and hand on nothing more. */
  stop(): void {
    this.stopped = true;
    this.pending = undefined;
  }

  push(chunk: Buffer): void {
    const data = this.pending ? Buffer.concat([this.pending, chunk]) : chunk;
    let from = 0;
    let line = this.pending ? this.lineAt : 0;
    this.pending = undefined;
    while (!this.stopped) {
      const end = data.indexOf(LF, line);
      if (end < 0) break;
      const code = codeAt(data, from, end);
      if (code !== 0 && data[line + 3] === HYPHEN && end - line > 3) {
        line = end + 1;
        continue;
      }
      this.handler(code, data, from, end + 1);
      from = end + 1;
      line = from;
    }
    if (this.stopped || from >= data.length) return;
    if (data.length - from > LONGEST) {
      this.stop();
      this.handler(0, data, from, data.length);
      return;
    }
    this.pending = Buffer.from(data.subarray(from));
    this.lineAt = line - from;
  }
}

/** The code of the line that starts at `from` and whose LF is at `end`; 0 when it has none. */
function codeAt(data: Buffer, from: number, end: number): number {
  if (end - from < 3) return 0;
  const a = (data[from] as number) - 48;
  const b = (data[from + 1] as number) - 48;
  const c = (data[from + 2] as number) - 48;
  if (a < 2 || a > 5 || b < 0 || b > 9 || c < 0 || c > 9) return 0;
  const after = data[from + 3] as number;
  // A separator, or the end of the line: `2500 x` is no reply.
  if (after !== 32 && after !== HYPHEN && after !== 13 && after !== LF) return 0;
  return a * 100 + b * 10 + c;
}

/** A reply as text for a report: no CR, NUL shown as `?`, one LF at the end. */
export function replyText(data: Buffer, from: number, to: number): string {
  const end = Math.min(to, from + REMEMBERED);
  const text = data.toString("utf8", from, end).replaceAll("\r", "");
  const shown = text.includes("\0") ? text.replaceAll("\0", "?") : text;
  return shown.endsWith("\n") ? shown : `${shown}\n`;
}
