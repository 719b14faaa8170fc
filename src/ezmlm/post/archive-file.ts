/**
 * The file of one message in the archive: `archive/<N div 100>/<N mod 100>`. Readers take a file whose
 * owner-exec bit is set and whose number `num` has reached; before that it may be half, or of a delivery
 * that crashed, and is overwritten by whoever gets the number.
 */
import {
  closeSync,
  fchmodSync,
  fsyncSync,
  mkdirSync,
  openSync,
  readFileSync,
  rmSync,
  statSync,
} from "node:fs";
import { dirname } from "node:path";
import { fsyncDirectory } from "../../lib/atomic-file.ts";
import { errorText, isErrno, TemporaryError } from "../../lib/errors.ts";
import { bufferInput, fileInput, type MessageInput } from "../../lib/message-input.ts";
import { writeAllSync } from "../../lib/write-all.ts";

/** Path of message `number`; two digits for the file, as it comes for the directory. */
export function archivePath(list: { path(...names: string[]): string }, number: number): string {
  const name = String(number % 100).padStart(2, "0");
  return list.path("archive", String(Math.floor(number / 100)), name);
}

/** Whether the message is there, whole. */
export function isArchived(path: string): boolean {
  try {
    return ((statSync(path, { throwIfNoEntry: false })?.mode ?? 0) & 0o100) !== 0;
  } catch (error) {
    if (isErrno(error, "ENOTDIR")) return false;
    throw trouble("stat", path, error);
  }
}

/** Files up to this size are read at once: a stream costs twenty times that. */
const SMALL_BYTES = 256 * 1024;

/** A message of the archive, to be read once. */
export function archivedInput(path: string): MessageInput {
  try {
    return statSync(path).size > SMALL_BYTES ? fileInput(path) : bufferInput(readFileSync(path));
  } catch (error) {
    throw trouble("read", path, error);
  }
}

/** Collects up to this many bytes before it writes. */
const BUFFER_BYTES = 65536;

export class ArchiveFile {
  readonly path: string;
  private readonly fd: number;
  private waiting: Buffer[] = [];
  private waitingBytes = 0;
  private isFinished = false;
  private isOpen = true;

  constructor(path: string) {
    this.path = path;
    try {
      this.fd = create(path);
    } catch (error) {
      throw trouble("create", path, error);
    }
  }

  put(bytes: Buffer): void {
    this.waiting.push(bytes);
    this.waitingBytes += bytes.length;
    if (this.waitingBytes >= BUFFER_BYTES) this.flush();
  }

  private flush(): void {
    const bytes = this.waiting.length === 1 ? this.waiting[0] : Buffer.concat(this.waiting);
    this.waiting = [];
    this.waitingBytes = 0;
    if (!bytes) return;
    try {
      writeAllSync(this.fd, bytes);
    } catch (error) {
      throw trouble("write", this.path, error);
    }
  }

  /** Everything written and complete, though not on disk. Nobody looks at it before `num` counts it. */
  finish(): void {
    if (this.isFinished) return;
    this.flush();
    this.isFinished = true;
    try {
      fchmodSync(this.fd, 0o744);
    } catch (error) {
      throw trouble("write", this.path, error);
    }
  }

  /** Complete, file and name on disk, when it returns. */
  sync(): void {
    this.finish();
    try {
      fsyncSync(this.fd);
      fsyncDirectory(dirname(this.path));
    } catch (error) {
      throw trouble("sync", this.path, error);
    }
  }

  /** It stays, after `sync()`. */
  publish(): void {
    this.close();
  }

  /** Forget it unless it was published. Harmless afterwards. */
  abort(): void {
    if (!this.isOpen) return;
    this.close();
    rmSync(this.path, { force: true });
  }

  private close(): void {
    this.isOpen = false;
    closeSync(this.fd);
  }
}

/** A new file, instead of what a delivery that crashed may have left there. */
function create(path: string): number {
  for (;;) {
    try {
      return openSync(path, "wx", 0o644);
    } catch (error) {
      if (isErrno(error, "ENOENT")) mkdirSync(dirname(path), { recursive: true, mode: 0o755 });
      else if (isErrno(error, "EEXIST")) rmSync(path, { force: true });
      else throw error;
    }
  }
}

function trouble(verb: string, path: string, error: unknown): TemporaryError {
  return new TemporaryError(`Unable to ${verb} ${path}: ${errorText(error)}. (#4.3.0)`, {
    cause: error,
  });
}
