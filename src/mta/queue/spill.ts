/**
 * Bytes of unknown length on their way into the queue: held in memory up to a limit, then written to
 * a file under queue/mess that no row names yet. `finish` has made file and directory durable when
 * it resolves, so a row may be committed. Writes are in order; one at a time. After the first that
 * fails nothing is held any more: what comes is counted and forgotten.
 */
import { isAscii } from "node:buffer";
import * as crypto from "node:crypto";
import { type FileHandle, open, rm } from "node:fs/promises";
import { join } from "node:path";
import { TemporaryError } from "../../lib/errors.ts";

export interface Collected {
  /** null: in the file. */
  readonly bytes: Buffer | null;
  readonly sizeBytes: number;
  /** SHA-256; null where nobody asked for it. */
  readonly hash: Uint8Array | null;
  /** No byte is above 127. */
  readonly ascii: boolean;
}

export interface SpillOptions {
  /** Directory and name of the file, should there be one. */
  readonly dir: string;
  readonly name: string;
  readonly limitBytes: number;
  readonly hashed: boolean;
}

export class SpillBuffer {
  private readonly options: SpillOptions;
  /** Of what went to the file; bytes in memory are hashed in one call at the end. */
  private written: crypto.Hash | undefined;
  private held: Buffer[] = [];
  private heldBytes = 0;
  private file: FileHandle | undefined;
  private tail: Promise<void> | undefined;
  private failed: Error | undefined;
  private ascii = true;
  sizeBytes = 0;

  constructor(options: SpillOptions) {
    this.options = options;
  }

  /** Bytes in memory. */
  get memoryBytes(): number {
    return this.heldBytes;
  }

  /** Why something could not be written; `finish` throws it. */
  get failure(): Error | undefined {
    return this.failed;
  }

  /**
   * Keeps `bytes` (the caller gives them away). Undefined when they are held, else when they are written
   * or could not be.
   */
  add(bytes: Buffer, spillNow = false): Promise<void> | undefined {
    this.sizeBytes += bytes.length;
    if (this.failed) return undefined;
    this.ascii &&= isAscii(bytes);
    this.held.push(bytes);
    this.heldBytes += bytes.length;
    if (!spillNow && !this.file && this.heldBytes <= this.options.limitBytes) return undefined;
    return this.spill();
  }

  private spill(): Promise<void> {
    const next = (this.tail ?? Promise.resolve()).then(async () => {
      if (this.failed || this.heldBytes === 0) return;
      const bytes = Buffer.concat(this.held);
      this.held = [];
      this.heldBytes = 0;
      if (this.options.hashed) {
        this.written ??= crypto.createHash("sha256");
        this.written.update(bytes);
      }
      this.file ??= await open(this.path, "wx", 0o600);
      await this.file.writeFile(bytes);
    });
    this.tail = next.catch((error: unknown) => {
      this.failed ??= new TemporaryError("unable to write to queue/mess", { cause: error });
      this.held = [];
      this.heldBytes = 0;
    });
    return this.tail;
  }

  private get path(): string {
    return join(this.options.dir, this.options.name);
  }

  /** Throws what went wrong while writing. */
  async finish(): Promise<Collected> {
    const known = { sizeBytes: this.sizeBytes, ascii: this.ascii };
    if (!this.tail) {
      const [first] = this.held;
      const bytes = this.held.length === 1 && first ? first : Buffer.concat(this.held);
      return { bytes, hash: this.options.hashed ? sha256(bytes) : null, ...known };
    }
    await this.spill();
    if (this.failed) throw this.failed;
    if (!this.file) return { bytes: Buffer.alloc(0), hash: null, ...known };
    await this.file.sync();
    await this.file.close();
    const dir = await open(this.options.dir, "r");
    try {
      await dir.sync();
    } finally {
      await dir.close();
    }
    return { bytes: null, hash: this.written?.digest() ?? null, ...known };
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

/** The one-call form costs half as much for a small mail; Node 20 has it from 20.12 on. */
export const sha256: (bytes: Buffer) => Uint8Array =
  typeof crypto.hash === "function"
    ? (bytes) => crypto.hash("sha256", bytes, "buffer")
    : (bytes) => crypto.createHash("sha256").update(bytes).digest();
