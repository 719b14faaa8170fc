/**
 * NAME         ezmlm-import - put an mbox into the archive of a list
 * SYNOPSIS     ezmlm-import DIR [mbox]
 * DESCRIPTION  Reads an mbox (a path in DIR; default stdin) and appends its messages to the archive,
 *              with the numbers after DIR/num. A message begins at a line `From ` with a time in it, at
 *              the top of the file or after an empty line; what stands before the first is dropped. The sender in
 *              that line becomes Return-Path, and one `>` goes from lines like `>From `. Nothing is
 *              sent. Afterwards run ezmlm-idx, and ezmlm-archive if the list is threaded.
 *              DIR/num is written at the end: after a failure run it again.
 * ENVIRONMENT  None.
 * FILES        num archive/ lock
 * EXIT CODES   0 done. 100 wrong command line, no list. 111 temporary.
 * STANDARDS    RFC 4155 (mbox)
 * BUGS         An unescaped line `From ... 12:34` after an empty line makes two messages of one.
 * SEE ALSO     ezmlm-idx, ezmlm-archive, ezmlm-send
 */
import { resolve } from "node:path";
import { errorText, TemporaryError } from "../../lib/errors.ts";
import { SUCCESS } from "../../lib/exit-code.ts";
import { fileInput, type MessageInput } from "../../lib/message-input.ts";
import { OptionTable } from "../../lib/option.ts";
import type { Host } from "../../lib/program.ts";
import type { List } from "../list/list.ts";
import { listProgram } from "../list/list-program.ts";
import { sizeUnits, writeNumber } from "../list/number.ts";
import { ArchiveFile, archivePath } from "../post/archive-file.ts";
import { isTaken, lastArchived, lastNumber } from "../post/last-number.ts";
import { LineCutter, type LinePiece } from "../post/line-cutter.ts";

const options = new OptionTable("ezmlm-import", [], "DIR [mbox]");

export const ezmlmImport = listProgram(
  options,
  async (host, list, _parsed, [mbox]) => {
    const input = mbox === undefined ? host.stdin : fileInput(resolve(list.dir, mbox));
    const count = await list.withLock("lock", () => importMbox(host, list, input));
    host.stderr.write(`ezmlm-import: info: ${count} messages\n`);
    return SUCCESS;
  },
  { operands: 1 },
);

async function importMbox(host: Host, list: List, input: MessageInput): Promise<number> {
  const before = lastNumber(host, list, "ezmlm-import");
  const mbox = new Mbox(list, before.number);
  const lines = new LineCutter();
  try {
    for await (const chunk of input.chunks()) {
      for (const piece of lines.push(chunk)) mbox.line(piece);
    }
    for (const piece of lines.end()) mbox.line(piece);
    mbox.finish();
  } catch (error) {
    mbox.abort();
    if (error instanceof TemporaryError) throw error;
    throw new TemporaryError(`Unable to read the mbox: ${errorText(error)}. (#4.3.0)`, {
      cause: error,
    });
  }
  if (mbox.number > before.number) {
    writeNumber(list, { number: mbox.number, cumulative: before.cumulative + mbox.units });
  }
  return mbox.count;
}

/** One message after the other into its file. */
class Mbox {
  /** Of the last message begun. */
  number: number;
  /** Messages begun. */
  count = 0;
  /** Sizes of the bodies so far, as `num` counts them. */
  units = 0;
  private readonly list: List;
  private file: ArchiveFile | undefined;
  private isBody = false;
  private bodyBytes = 0;
  private afterEmpty = true;
  /** An empty line before a separator belongs to the mbox, not to the message. */
  private heldEmpty: Buffer | undefined;

  constructor(list: List, number: number) {
    this.list = list;
    this.number = number;
  }

  line(piece: LinePiece): void {
    let { bytes } = piece;
    if (piece.start && this.afterEmpty && isSeparator(bytes)) {
      this.begin(bytes);
      return;
    }
    if (!this.file) {
      this.afterEmpty = isEmpty(bytes);
      return;
    }
    this.release();
    if (piece.start && /^>+From /.test(bytes.toString("latin1", 0, 64))) bytes = bytes.subarray(1);
    this.afterEmpty = piece.start && isEmpty(bytes);
    if (!this.isBody) {
      this.file.put(Buffer.from(bytes));
      this.isBody = this.afterEmpty;
    } else if (this.afterEmpty) this.heldEmpty = Buffer.from(bytes);
    else this.body(bytes);
  }

  private begin(separator: Buffer): void {
    this.heldEmpty = undefined;
    this.finish();
    // The number of a message that somebody took out of the archive is free, the next one may not be.
    if (isTaken(this.list, this.number + 1)) this.number = lastArchived(this.list);
    this.number++;
    this.count++;
    this.file = new ArchiveFile(archivePath(this.list, this.number));
    const sender = /^From (\S*)/.exec(separator.toString("latin1", 0, 1000))?.[1] ?? "";
    const address = sender.includes("@") ? sender : "";
    this.file.put(Buffer.from(`Return-Path: <${address}>\n`, "latin1"));
    this.isBody = false;
    this.bodyBytes = 0;
    this.afterEmpty = false;
  }

  private release(): void {
    if (this.heldEmpty) this.body(this.heldEmpty);
    this.heldEmpty = undefined;
  }

  private body(bytes: Buffer): void {
    this.file?.put(Buffer.from(bytes));
    this.bodyBytes += bytes.length;
  }

  finish(): void {
    if (!this.file) return;
    this.file.sync();
    this.file.publish();
    this.units += sizeUnits(this.bodyBytes);
    this.file = undefined;
  }

  abort(): void {
    this.file?.abort();
  }
}

/** `From SENDER` and a time of day: what people write after an empty line has none. RFC 4155. */
function isSeparator(bytes: Buffer): boolean {
  return /^From .*\d\d:\d\d/.test(bytes.toString("latin1", 0, 1000));
}

function isEmpty(bytes: Buffer): boolean {
  return bytes.length === 1 ? bytes[0] === 10 : bytes.length === 2 && bytes[0] === 13;
}
