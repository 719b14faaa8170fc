/**
 * `Log` of a database: one line for each change, `TS EVENT ADDRESS[ COMMENT]`. What a stranger wrote is
 * reduced to printable ASCII. Appended without fsync, as an account, not as the truth. Reference
 * ezmlm-formats.md 3.
 */
import { closeSync, openSync, writeSync } from "node:fs";
import { errorText, TemporaryError } from "../../lib/errors.ts";

export interface LogEntry {
  readonly sign: "+" | "-";
  /** "", "mod", "probe", "manual" or a tag. */
  readonly event: string;
  readonly address: string;
  readonly comment?: string;
}

/** One line with its LF. */
export function logLine(entry: LogEntry, seconds: number): string {
  const address = printable(entry.address, 0x21);
  const event = printable(entry.event, 0x21);
  const comment = entry.comment
    ? ` ${printable(entry.comment.replaceAll("\t", " ").trim(), 0x20)}`.trimEnd()
    : "";
  return `${seconds} ${entry.sign}${event} ${address}${comment}\n`;
}

/** Bytes below `lowest` or above 126 become `?`. */
function printable(text: string, lowest: number): string {
  if (lowest === 0x21 ? /^[\x21-\x7e]*$/.test(text) : /^[\x20-\x7e]*$/.test(text)) return text;
  const bytes = Buffer.from(text).map((byte) => (byte < lowest || byte > 126 ? 0x3f : byte));
  return Buffer.from(bytes).toString("latin1");
}

/** Append lines to a `Log` in one write, so that lines of two programs never mix. */
export function appendLog(path: string, lines: string): void {
  try {
    const fd = openSync(path, "a", 0o600);
    try {
      writeSync(fd, lines, null, "latin1");
    } finally {
      closeSync(fd);
    }
  } catch (error) {
    throw new TemporaryError(`Unable to write ${path}: ${errorText(error)}. (#4.3.0)`, {
      cause: error,
    });
  }
}
