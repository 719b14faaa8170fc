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
  const address = printable(entry.address, /[^\x21-\x7e]/g);
  const event = printable(entry.event, /[^\x21-\x7e]/g);
  const comment = printable((entry.comment ?? "").replaceAll("\t", " ").trim(), /[^\x20-\x7e]/g);
  return `${seconds} ${entry.sign}${event} ${address}${comment === "" ? "" : ` ${comment}`}\n`;
}

function printable(text: string, bad: RegExp): string {
  return Buffer.from(text).toString("latin1").replace(bad, "?");
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
