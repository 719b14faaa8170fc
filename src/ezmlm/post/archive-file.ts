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
  rmSync,
  statSync,
  writeSync,
} from "node:fs";
import { dirname, join } from "node:path";
import { fsyncDirectory } from "../../lib/atomic-file.ts";
import { errorText, isErrno, TemporaryError } from "../../lib/errors.ts";

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

/** Collects up to this many bytes before it writes. */
const BUFFER_BYTES = 65536;

export class ArchiveFile {
  readonly path: string;
  private readonly fd: number;
  private waiting: Buffer[] = [];
  private waitingBytes = 0;
  private isOpen = true;

  constructor(path: string) {
    this.path = path;
    try {
      mkdirSync(join(path, ".."), { recursive: true, mode: 0o755 });
      rmSync(path, { force: true });
      this.fd = openSync(path, "wx", 0o644);
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
      for (let at = 0; at < bytes.length; ) at += writeSync(this.fd, bytes, at);
    } catch (error) {
      throw trouble("write", this.path, error);
    }
  }

  /** Everything on disk and complete. Nobody looks at it before `num` counts it. */
  sync(): void {
    this.flush();
    try {
      fchmodSync(this.fd, 0o744);
      fsyncSync(this.fd);
    } catch (error) {
      throw trouble("sync", this.path, error);
    }
  }

  /** It stays, after `sync()`. `nameFollows`: the caller makes its name durable, with the index beside it. */
  publish(nameFollows = false): void {
    try {
      this.close();
      if (!nameFollows) fsyncDirectory(dirname(this.path));
    } catch (error) {
      throw trouble("sync", this.path, error);
    }
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

function trouble(verb: string, path: string, error: unknown): TemporaryError {
  return new TemporaryError(`Unable to ${verb} ${path}: ${errorText(error)}. (#4.3.0)`, {
    cause: error,
  });
}
