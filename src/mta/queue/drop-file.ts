/**
 * The drop directory (`queue/drop`, mode 3733): how a command hands in mail without a connection,
 * also while the server is down. This file owns the layout and the writer; drop-reader.ts reads.
 *
 *     message bytes | sender NUL recipient NUL … | submission key | prefix template | trailer (36 bytes)
 *
 * The trailer is magic (8 bytes), version u32, flags u16 (1 = bulk, 2 = reply), prefix length u16, message
 * length u64, envelope length u64, key length u32, all little-endian. It comes last so that a writer needs no length in
 * advance and a torn file has none. The envelope holds the sender even when it is empty.
 *
 * Written as `tmp.…` (0640), fsynced, renamed to `m.…`, the rename fsynced, the trigger pulled.
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
import { isErrno, PermanentError } from "../../lib/errors.ts";
import type { Urgency } from "../../lib/queue-door.ts";
import { randomHex } from "../../lib/random.ts";

export const DROP_TRAILER_BYTES = 36;
export const DROP_VERSION = 1;
/** The reader removes larger files, so the writer refuses them. */
export const DROP_FILE_LIMIT = 1 << 30;

/** Message and envelope are larger than a drop file may be. */
export class MessageTooLong extends PermanentError {}

const MAGIC = Buffer.from("ezqdrop\n", "latin1");
const flags: Record<Urgency, number> = { normal: 0, bulk: 1, reply: 2 };

function urgencyOf(bits: number): Urgency {
  return bits & flags.bulk ? "bulk" : bits & flags.reply ? "reply" : "normal";
}

/** Longest envelope address, bytes. qmail reference 0.2. */
export const ADDRESS_LIMIT = 1002;

export interface DropTrailer {
  readonly urgency: Urgency;
  readonly messageBytes: number;
  readonly envelopeBytes: number;
  readonly keyBytes: number;
  readonly prefixBytes: number;
}

export function encodeDropTrailer(trailer: DropTrailer): Buffer {
  const out = Buffer.alloc(DROP_TRAILER_BYTES);
  MAGIC.copy(out);
  out.writeUInt32LE(DROP_VERSION, 8);
  out.writeUInt16LE(flags[trailer.urgency], 12);
  out.writeUInt16LE(trailer.prefixBytes, 14);
  out.writeBigUInt64LE(BigInt(trailer.messageBytes), 16);
  out.writeBigUInt64LE(BigInt(trailer.envelopeBytes), 24);
  out.writeUInt32LE(trailer.keyBytes, 32);
  return out;
}

/** The trailer of a file of `fileBytes`; undefined when it is not one or the lengths do not add up. */
export function decodeDropTrailer(bytes: Buffer, fileBytes: number): DropTrailer | undefined {
  if (bytes.length !== DROP_TRAILER_BYTES || !bytes.subarray(0, 8).equals(MAGIC)) return undefined;
  if (bytes.readUInt32LE(8) !== DROP_VERSION) return undefined;
  const message = bytes.readBigUInt64LE(16);
  const envelope = bytes.readBigUInt64LE(24);
  const key = bytes.readUInt32LE(32);
  const prefix = bytes.readUInt16LE(14);
  const total = message + envelope + BigInt(key + prefix + DROP_TRAILER_BYTES);
  if (total !== BigInt(fileBytes)) return undefined;
  return {
    urgency: urgencyOf(bytes.readUInt16LE(12)),
    messageBytes: Number(message),
    envelopeBytes: Number(envelope),
    keyBytes: key,
    prefixBytes: prefix,
  };
}

export interface DropOptions {
  readonly home: string;
  readonly pid: number;
  /** Full submission key, "" for none. */
  readonly key?: string;
  readonly urgency?: Urgency;
  /** Template of what each copy has for itself, "" for nothing. */
  readonly prefix?: string;
  /** Longest file; default DROP_FILE_LIMIT. */
  readonly limitBytes?: number;
}

/**
 * One message on its way into the drop directory. System errors are thrown as they come;
 * PermanentError: the message is too long.
 */
export class DropWriter {
  private readonly home: string;
  private readonly unique: string;
  private readonly key: string;
  private readonly urgency: Urgency;
  private readonly prefix: string;
  private readonly limitBytes: number;
  private fd: number;
  private held: Buffer[] = [];
  private heldBytes = 0;
  private fileBytes = 0;
  private messageBytes = 0;
  private envelopeBytes = 0;
  private envelope: string[] = [];
  private sender = "";

  constructor(options: DropOptions) {
    this.home = options.home;
    this.key = options.key ?? "";
    this.urgency = options.urgency ?? "normal";
    this.prefix = options.prefix ?? "";
    this.limitBytes = options.limitBytes ?? DROP_FILE_LIMIT;
    this.unique = `${options.pid}.${randomHex(12)}`;
    const flags = constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL | constants.O_NOFOLLOW;
    this.fd = openSync(this.path("tmp"), flags, 0o640);
  }

  private path(kind: "tmp" | "m"): string {
    return join(this.home, "queue", "drop", `${kind}.${this.unique}`);
  }

  /** Message bytes; a string is UTF-8. */
  put(data: Uint8Array | string): void {
    const bytes = typeof data === "string" ? Buffer.from(data) : Buffer.from(data);
    this.messageBytes += bytes.length;
    this.hold(bytes);
  }

  /** Neither may hold NUL. The caller checked the length (ADDRESS_LIMIT). */
  from(sender: string): void {
    this.sender = sender;
  }

  to(recipient: string): void {
    this.envelope.push(recipient);
  }

  private hold(bytes: Buffer): void {
    this.held.push(bytes);
    this.heldBytes += bytes.length;
    if (this.heldBytes >= 262144) this.flush();
  }

  private flush(): void {
    this.fileBytes += this.heldBytes;
    if (this.fileBytes > this.limitBytes) throw new MessageTooLong("qq message too long (#5.2.3)");
    const bytes = Buffer.concat(this.held);
    this.held = [];
    this.heldBytes = 0;
    for (let at = 0; at < bytes.length; ) at += writeSync(this.fd, bytes, at);
  }

  /** Durable when it returns. */
  commit(): void {
    const envelope = Buffer.from([this.sender, ...this.envelope, ""].join("\0"));
    const key = Buffer.from(this.key);
    const prefix = Buffer.from(this.prefix);
    this.envelopeBytes = envelope.length;
    this.hold(envelope);
    this.hold(key);
    this.hold(prefix);
    this.hold(
      encodeDropTrailer({
        urgency: this.urgency,
        messageBytes: this.messageBytes,
        envelopeBytes: this.envelopeBytes,
        keyBytes: key.length,
        prefixBytes: prefix.length,
      }),
    );
    this.flush();
    fsyncSync(this.fd);
    renameSync(this.path("tmp"), this.path("m"));
    this.syncRename();
    closeSync(this.fd);
    this.fd = -1;
    pullTrigger(this.home);
  }

  /** Others may not read the directory, so they cannot fsync it: the renamed file itself then
   *  carries the rename to disk (its inode changed with it). */
  private syncRename(): void {
    try {
      const dir = openSync(join(this.home, "queue", "drop"), constants.O_RDONLY);
      try {
        fsyncSync(dir);
      } finally {
        closeSync(dir);
      }
    } catch (error) {
      if (!isErrno(error, "EACCES", "EPERM")) throw error;
      fsyncSync(this.fd);
    }
  }

  /** Forget it. Harmless after commit. */
  abort(): void {
    if (this.fd < 0) return;
    closeSync(this.fd);
    this.fd = -1;
    try {
      unlinkSync(this.path("tmp"));
    } catch (error) {
      if (!isErrno(error, "ENOENT")) throw error;
    }
  }
}

/** Wake qmail-send. Without a reader or a FIFO the file waits for the next scan. */
export function pullTrigger(home: string): void {
  try {
    const path = join(home, "queue", "lock", "trigger");
    const fd = openSync(path, constants.O_WRONLY | constants.O_NONBLOCK);
    try {
      writeSync(fd, "\0");
    } finally {
      closeSync(fd);
    }
  } catch {
    // Only speed is lost: the scan finds the file.
  }
}
