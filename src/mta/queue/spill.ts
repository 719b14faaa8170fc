/**
 * Bytes of unknown length on their way into the queue: held in memory up to a limit, then written to
 * a file under queue/mess that no row names yet. `finish` has made file and directory durable when
 * it resolves, so a row may be committed. Writes are in order; one at a time.
 */
import { isAscii } from "node:buffer";
import { createHash, type Hash } from "node:crypto";
import { type FileHandle, open, rm } from "node:fs/promises";
import { dirname } from "node:path";

export interface Collected {
  /** null: in the file. */
  readonly bytes: Buffer | null;
  readonly sizeBytes: number;
  readonly sha256: Uint8Array;
  /** No byte is above 127. */
  readonly ascii: boolean;
}

export class SpillBuffer {
  private readonly path: string;
  private readonly limitBytes: number;
  private readonly hash: Hash = createHash("sha256");
  private held: Buffer[] = [];
  private heldBytes = 0;
  private file: FileHandle | undefined;
  private tail: Promise<void> = Promise.resolve();
  private failed: Error | undefined;
  private ascii = true;
  sizeBytes = 0;

  constructor(path: string, limitBytes: number) {
    this.path = path;
    this.limitBytes = limitBytes;
  }

  /** Bytes in memory. */
  get memoryBytes(): number {
    return this.heldBytes;
  }

  /** Keeps `bytes` (the caller gives them away). Undefined when they are held, else when written. */
  add(bytes: Buffer, spillNow = false): Promise<void> | undefined {
    this.hash.update(bytes);
    this.ascii &&= isAscii(bytes);
    this.sizeBytes += bytes.length;
    this.held.push(bytes);
    this.heldBytes += bytes.length;
    if (!spillNow && !this.file && this.heldBytes <= this.limitBytes) return undefined;
    return this.spill();
  }

  private spill(): Promise<void> {
    const next = this.tail.then(async () => {
      if (this.failed || this.heldBytes === 0) return;
      const bytes = Buffer.concat(this.held);
      this.held = [];
      this.heldBytes = 0;
      this.file ??= await open(this.path, "wx", 0o600);
      await this.file.writeFile(bytes);
    });
    this.tail = next.catch((error: unknown) => {
      this.failed ??= error instanceof Error ? error : new Error(String(error));
    });
    return this.tail;
  }

  /** Throws what went wrong while writing. */
  async finish(): Promise<Collected> {
    await this.tail;
    if (this.failed) throw this.failed;
    const known = {
      sizeBytes: this.sizeBytes,
      sha256: new Uint8Array(this.hash.digest()),
      ascii: this.ascii,
    };
    if (!this.file) return { bytes: Buffer.concat(this.held), ...known };
    await this.spill();
    if (this.failed) throw this.failed;
    await this.file.sync();
    await this.file.close();
    const dir = await open(dirname(this.path), "r");
    try {
      await dir.sync();
    } finally {
      await dir.close();
    }
    return { bytes: null, ...known };
  }

  /** Remove what was written; harmless at any time before the row is committed. */
  async discard(): Promise<void> {
    await this.tail;
    this.held = [];
    this.heldBytes = 0;
    if (!this.file) return;
    await this.file.close().catch(() => {}); // closed by finish already
    await rm(this.path, { force: true });
  }
}
