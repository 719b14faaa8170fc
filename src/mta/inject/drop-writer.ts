/**
 * Writes one file into `queue/drop` (design 5): `tmp.*` with mode 0640, fsync, rename, fsync of the
 * directory, one byte into the trigger. Until `finish` returns nothing is queued. Everything is
 * synchronous: a command has nothing else to do, and a promise per step would cost more than the step.
 */
import {
  closeSync,
  constants,
  fsyncSync,
  openSync,
  renameSync,
  unlinkSync,
  writeSync,
} from "node:fs";
import { join } from "node:path";
import { DROP_UNFINISHED, encodeDropTrailer } from "../queue/drop-file.ts";

const chunkBytes = 65536;

export interface DropOrigin {
  /** The MTA home. */
  readonly home: string;
  readonly pid: number;
  now(): Date;
}

export class DropWriter {
  /** Written into the log as `qp`. */
  readonly pid: number;
  private readonly folder: string;
  private readonly triggerPath: string;
  private readonly unfinished: string;
  private readonly finished: string;
  private readonly fd: number;
  private readonly pending = Buffer.allocUnsafe(chunkBytes);
  private pendingBytes = 0;
  private written = 0;
  private messageBytes = -1;
  private open = true;

  /** Throws the system error when the file cannot be made. `serial` tells apart files of one process. */
  constructor(origin: DropOrigin, serial: number) {
    this.pid = origin.pid;
    this.folder = join(origin.home, "queue", "drop");
    this.triggerPath = join(origin.home, "queue", "lock", "trigger");
    const name = `${origin.now().getTime()}.${origin.pid}.${serial}`;
    this.unfinished = join(this.folder, DROP_UNFINISHED + name);
    this.finished = join(this.folder, name);
    const flags = constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL | constants.O_NOFOLLOW;
    this.fd = openSync(this.unfinished, flags, 0o640);
  }

  /** Bytes of the message, and after `endMessage` of the envelope. */
  write(bytes: Uint8Array): void {
    if (this.pendingBytes + bytes.length > chunkBytes) this.flush();
    if (bytes.length >= chunkBytes) {
      this.writeOut(bytes);
    } else {
      this.pending.set(bytes, this.pendingBytes);
      this.pendingBytes += bytes.length;
    }
  }

  endMessage(): void {
    this.messageBytes = this.written + this.pendingBytes;
  }

  /** Durable when it returns; on any error the file is gone and the error thrown. */
  finish(key: string, bulk: boolean): void {
    try {
      const keyBytes = Buffer.from(key);
      const envelopeBytes = this.written + this.pendingBytes - this.messageBytes;
      this.write(keyBytes);
      this.write(
        encodeDropTrailer({
          messageBytes: this.messageBytes,
          envelopeBytes,
          keyBytes: keyBytes.length,
          bulk,
          pid: this.pid,
        }),
      );
      this.flush();
      fsyncSync(this.fd);
      renameSync(this.unfinished, this.finished);
    } catch (error) {
      this.discard();
      throw error;
    }
    this.open = false;
    try {
      this.syncName();
    } finally {
      closeSync(this.fd);
    }
    pullTrigger(this.triggerPath);
  }

  discard(): void {
    if (!this.open) return;
    this.open = false;
    closeSync(this.fd);
    try {
      unlinkSync(this.unfinished);
    } catch {
      // The sweep of old tmp.* files takes it; the caller has a worse error to tell.
    }
  }

  /**
   * Make the new name durable. Mode 3733 lets strangers write into the directory but not open it; for
   * them a second fsync of the file does it: the rename changed its inode, in the same transaction.
   */
  private syncName(): void {
    let folder: number;
    try {
      folder = openSync(this.folder, constants.O_RDONLY | constants.O_DIRECTORY);
    } catch {
      fsyncSync(this.fd);
      return;
    }
    try {
      fsyncSync(folder);
    } finally {
      closeSync(folder);
    }
  }

  private flush(): void {
    const bytes = this.pendingBytes;
    this.pendingBytes = 0;
    if (bytes > 0) this.writeOut(this.pending.subarray(0, bytes));
  }

  private writeOut(bytes: Uint8Array): void {
    for (let at = 0; at < bytes.length; ) at += writeSync(this.fd, bytes, at);
    this.written += bytes.length;
  }
}

/** Wake qmail-send. Nobody listening is no error: the file is found by the next scan. */
function pullTrigger(path: string): void {
  try {
    const fd = openSync(path, constants.O_WRONLY | constants.O_NONBLOCK);
    try {
      writeSync(fd, Buffer.alloc(1));
    } finally {
      closeSync(fd);
    }
  } catch {
    // ENOENT, ENXIO: the server is down, or somebody else pulled and the pipe is full.
  }
}
