/**
 * What all channels between our processes share: version, limits, who a peer may be, how a delivery
 * ended. The messages themselves stand in `*-messages.ts`, one file per channel: type byte, fields in
 * wire order; encoder and decoder there are the only code that knows the layout.
 *
 * | channel  | sockets                                       | who speaks first                        |
 * |----------|-----------------------------------------------|-----------------------------------------|
 * | control  | descriptor 3 of every child of qmail-start    | qmail-start: `start`                    |
 * | queue    | `queue/intake` (0660, servers), `queue/deliver` (0666: workers, rspawn, lspawn) | client: `hello` with its capability |
 * | worker   | descriptor 3 of a local worker                | lspawn: `welcome`                       |
 * | admin    | `queue/admin` (0600)                          | client: `ask`                           |
 *
 * A capability is 32 random bytes. Whoever issued it (qmail-start for daemons, lspawn for workers)
 * announced it to qmail-send with the role and uid it stands for; it says who the peer is, nothing
 * the peer claims does.
 */
import { type Frame, FrameError, FrameReader, type FrameWriter } from "../../lib/frame.ts";

/** Raised when a layout changes; peers of another version are refused. */
export const PROTOCOL_VERSION = 3;
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
export const roles: readonly Role[] = ["smtpd", "remote", "local", "worker"];

export type Verdict = "K" | "Z" | "D";

/** How one delivery ended. */
export interface Report {
  readonly delivery: number;
  readonly verdict: Verdict;
  readonly text: string;
}

/** Number of a value in its list, as it travels. */
export const index = <T>(list: readonly T[], value: T): number => list.indexOf(value);
/** The value with that number; FrameError for one we do not know. */
export function pick<T>(list: readonly T[], at: number): T {
  const value = list[at];
  if (value === undefined) throw new FrameError("unknown value");
  return value;
}

/**
 * Reports in a row. Most servers say the same to most copies: a verdict in lower case stands for that
 * letter with the text of the report before.
 */
export function writeReports(out: FrameWriter, reports: readonly Report[]): void {
  let before: string | undefined;
  for (const { delivery, verdict, text } of reports) {
    out.u53(delivery);
    if (text === before) out.u8(verdict.charCodeAt(0) | 32);
    else out.u8(verdict.charCodeAt(0)).text(text);
    before = text;
  }
}

export function readReports(f: Frame, count: number): Report[] {
  const reports: Report[] = [];
  let text: string | undefined;
  for (let left = count; left > 0; left--) {
    const delivery = f.u53();
    const letter = f.u8();
    const verdict = verdictOf(letter & ~32);
    if ((letter & 32) === 0) text = f.text().slice(0, REPORT_LIMIT);
    else if (text === undefined) throw new FrameError("no report before");
    reports.push({ delivery, verdict, text });
  }
  return reports;
}

export function readVerdict(f: Frame): Verdict {
  return verdictOf(f.u8());
}

function verdictOf(code: number): Verdict {
  const letter = String.fromCharCode(code);
  if (letter !== "K" && letter !== "Z" && letter !== "D") throw new FrameError("unknown verdict");
  return letter;
}

/** A reader with the limit every channel shares. */
export function channelReader(): FrameReader {
  return new FrameReader(FRAME_LIMIT);
}
