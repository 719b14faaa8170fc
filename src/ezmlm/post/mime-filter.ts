/**
 * Takes parts out of a multipart body while it streams by, line by line and byte exact: what is kept
 * leaves as it came. A part goes when its Content-Type says so; a part without one is text/plain.
 * Nested multiparts are filtered too, and vanish when nothing of them is left. What is signed or
 * encrypted, and messages inside the message, are one part each: taken or left whole.
 * RFC 2046 5.1.
 */
import { trimBlanksEnd } from "../../lib/blanks.ts";
import { PermanentError } from "../../lib/errors.ts";
import { fieldBytes, findField, parseHeader } from "../../lib/header.ts";
import { type ContentType, parseContentType } from "./content-type.ts";
import { LineCutter, type LinePiece } from "./line-cutter.ts";

/** Part headers beyond this are no headers. */
const PART_HEADER_LIMIT = 64 * 1024;
const DEPTH_LIMIT = 12;

export interface MimeRules {
  /** Whether a part of this type goes on. `inside`: a multipart whose parts are asked for one by one. */
  keep(type: string, inside: boolean): boolean;
  /** Called at the closing delimiter of the outermost multipart; what it returns stands before it. */
  lastPart?(boundary: string): Buffer | undefined;
}

/** `added`: not of the message, so it is for the subscribers and not for the archive. */
export type Emit = (bytes: Buffer, added: boolean) => void;

interface Level {
  readonly boundary: Buffer;
  /** What must go out before the first kept part: delimiter and header of this multipart. */
  waiting: Buffer[];
  kept: number;
}

const opaque = new Set(["multipart/signed", "multipart/encrypted"]);

/** Whether the filter may look inside: a multipart with a boundary that is not signed or encrypted. */
export function filterableBoundary(type: ContentType | undefined): string | undefined {
  if (!type?.type.startsWith("multipart/") || opaque.has(type.type)) return undefined;
  const boundary = type.parameters.get("boundary");
  return boundary === undefined || boundary === "" ? undefined : boundary;
}

export class MimeFilter {
  private readonly rules: MimeRules;
  private readonly emit: Emit;
  private readonly lines = new LineCutter();
  private readonly levels: Level[];
  private state: "preamble" | "header" | "kept" | "dropped" | "epilogue" = "preamble";
  private header: Buffer[] = [];
  private headerBytes = 0;
  private partHeaderBytes = 0;
  private run: Buffer | undefined;
  private endsWithLf = true;
  private closed = false;

  constructor(boundary: string, rules: MimeRules, emit: Emit) {
    this.rules = rules;
    this.emit = emit;
    this.levels = [level(boundary)];
  }

  /** Leaf parts that went out. */
  get keptParts(): number {
    return (this.levels[0] as Level).kept;
  }

  /** Bytes of delimiters and part headers so far. */
  get overheadBytes(): number {
    return this.partHeaderBytes;
  }

  push(chunk: Buffer): void {
    for (const piece of this.lines.push(chunk)) this.line(piece);
    this.flush();
  }

  /** The input is over. Closes what a broken message left open, so that a trailer stays visible. */
  end(): void {
    for (const piece of this.lines.end()) this.line(piece);
    if (this.state === "header") this.endOfHeader();
    this.flush();
    if (this.closed) return;
    while (this.levels.length > 1) this.leaveLevel();
    const outer = this.levels[0] as Level;
    const last =
      outer.kept > 0 ? this.rules.lastPart?.(outer.boundary.toString("latin1")) : undefined;
    if (!last) return;
    if (!this.endsWithLf) this.emit(Buffer.from("\n"), true);
    this.emit(last, true);
    this.emit(Buffer.from(`--${outer.boundary.toString("latin1")}--\n`, "latin1"), true);
  }

  /** Neighbouring lines leave as one run: a large part costs one call per chunk, not per line. */
  private out(bytes: Buffer): void {
    this.endsWithLf = bytes.at(-1) === 10;
    const { run } = this;
    if (run && run.buffer === bytes.buffer && run.byteOffset + run.length === bytes.byteOffset) {
      this.run = Buffer.from(run.buffer, run.byteOffset, run.length + bytes.length);
      return;
    }
    this.flush();
    this.run = bytes;
  }

  private flush(): void {
    if (this.run) this.emit(this.run, false);
    this.run = undefined;
  }

  private line(piece: LinePiece): void {
    const { bytes } = piece;
    if (piece.start && bytes[0] === 45 && bytes[1] === 45 && !this.closed) {
      for (let depth = this.levels.length - 1; depth >= 0; depth--) {
        const kind = delimiter(bytes, (this.levels[depth] as Level).boundary);
        if (kind) {
          this.delimiter(depth, kind, bytes);
          return;
        }
      }
    }
    if (this.state === "header") this.headerLine(bytes);
    else if (this.state === "kept" || this.state === "epilogue") this.out(bytes);
  }

  private delimiter(depth: number, kind: "open" | "close", bytes: Buffer): void {
    if (this.state === "header") this.endOfHeader();
    while (this.levels.length - 1 > depth) this.leaveLevel();
    if (kind === "open") {
      this.state = "header";
      this.header = [bytes];
      this.headerBytes = 0;
      return;
    }
    const current = this.levels[depth] as Level;
    if (depth > 0) {
      if (current.kept > 0) this.out(bytes);
      this.state = current.kept > 0 ? "kept" : "dropped";
      this.leaveLevel();
      return;
    }
    const last = this.rules.lastPart?.(current.boundary.toString("latin1"));
    if (last && current.kept > 0) {
      this.flush();
      this.emit(last, true);
    }
    this.out(bytes);
    this.closed = true;
    this.state = "epilogue";
  }

  private leaveLevel(): void {
    const left = this.levels.pop() as Level;
    if (left.kept === 0) this.state = "dropped";
  }

  private headerLine(bytes: Buffer): void {
    this.header.push(bytes);
    this.headerBytes += bytes.length;
    const empty = bytes.length === 1 || (bytes.length === 2 && bytes[0] === 13);
    if ((empty && bytes.at(-1) === 10) || this.headerBytes > PART_HEADER_LIMIT) this.endOfHeader();
  }

  private endOfHeader(): void {
    const held = this.header;
    this.header = [];
    this.partHeaderBytes += this.headerBytes + (held[0]?.length ?? 0);
    const parsed = parseHeader(Buffer.concat(held.slice(1)));
    const field = findField(parsed.fields, "Content-Type");
    const type = field && parseContentType(fieldBytes(field));
    const inner = this.levels.length < DEPTH_LIMIT ? filterableBoundary(type) : undefined;
    // A part that does not say what it is is text, and never dropped for that.
    if (type && !this.rules.keep(type.type || "text/plain", inner !== undefined)) {
      this.state = "dropped";
    } else if (inner !== undefined) {
      this.levels.push({ ...level(inner), waiting: held });
      this.state = "dropped";
    } else {
      this.release(held);
      this.state = "kept";
    }
  }

  /** A part is kept: it goes out after everything around it that was waiting for that. */
  private release(held: Buffer[]): void {
    for (const each of this.levels) {
      for (const bytes of each.waiting) this.out(bytes);
      each.waiting = [];
      each.kept++;
    }
    for (const bytes of held) this.out(bytes);
  }
}

function level(boundary: string): Level {
  const bytes = Buffer.from(boundary, "latin1");
  if (bytes.length > 1000) throw new PermanentError("The MIME boundary is too long. (#5.6.0)");
  return { boundary: bytes, waiting: [], kept: 0 };
}

/** `--boundary` or `--boundary--`, blanks may follow. RFC 2046 5.1.1. */
function delimiter(line: Buffer, boundary: Buffer): "open" | "close" | undefined {
  const end = 2 + boundary.length;
  if (line.length < end || line.compare(boundary, 0, boundary.length, 2, end) !== 0)
    return undefined;
  const rest = trimBlanksEnd(line.toString("latin1", end));
  return rest === "" ? "open" : rest === "--" ? "close" : undefined;
}
