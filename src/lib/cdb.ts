/**
 * The constant database format (cdb): a header of 256 table pointers, the records, then 256 hash
 * tables; all numbers u32 little-endian. Reading needs one look-up and no memory; writing makes a
 * whole new file and renames it over the old one, so a reader sees the old or the new, never half.
 * qmail reference 7.10.
 */
import {
  closeSync,
  fsyncSync,
  openSync,
  readFileSync,
  readSync,
  renameSync,
  unlinkSync,
} from "node:fs";
import { dirname } from "node:path";
import { isErrno } from "./errors.ts";
import { writeAllSync } from "./write-all.ts";

const HEADER_BYTES = 2048;
const LIMIT_BYTES = 0xffff_ffff;

/** The file is no cdb, or was cut short. */
export class CdbError extends Error {
  override readonly name = "CdbError";
}

const bytesOf = (text: string | Buffer): Buffer =>
  typeof text === "string" ? Buffer.from(text) : text;

/** h = 5381; for each byte h = ((h << 5) + h) xor byte, modulo 2^32. */
export function cdbHash(key: Buffer): number {
  let hash = 5381;
  for (let at = 0; at < key.length; at++) {
    hash = (((hash << 5) + hash) ^ (key[at] as number)) >>> 0;
  }
  return hash;
}

/** Reads bytes `from`, `size`; throws CdbError when they are not all there. */
type Read = (from: number, size: number) => Buffer;

/** An open cdb file. Strings are UTF-8; every position taken from the file is checked. */
export class Cdb {
  private readonly read: Read;
  private readonly done: () => void;

  private constructor(read: Read, done: () => void) {
    this.read = read;
    this.done = done;
  }

  /** Throws the system error when the file cannot be opened. */
  static open(path: string): Cdb {
    const fd = openSync(path, "r");
    const read: Read = (from, size) => {
      const bytes = Buffer.allocUnsafe(size);
      let filled = 0;
      while (filled < size) {
        const got = readSync(fd, bytes, filled, size - filled, from + filled);
        if (got === 0) throw new CdbError(`${path} is cut short`);
        filled += got;
      }
      return bytes;
    };
    return new Cdb(read, () => closeSync(fd));
  }

  /** The file read into memory, for a table that is asked often and replaced by rename. */
  static load(path: string): Cdb {
    return Cdb.of(readFileSync(path), path);
  }

  /** `path`: for errors. */
  static of(file: Buffer, path = "file"): Cdb {
    const read: Read = (from, size) => {
      if (from + size > file.length) throw new CdbError(`${path} is cut short`);
      return file.subarray(from, from + size);
    };
    return new Cdb(read, () => {});
  }

  /** Data of the first record with that key, or undefined. */
  get(key: string | Buffer): Buffer | undefined {
    for (const data of this.getAll(key)) return data;
    return undefined;
  }

  /** Data of every record with that key, in the order they were added. */
  *getAll(key: string | Buffer): Generator<Buffer> {
    const wanted = bytesOf(key);
    const hash = cdbHash(wanted);
    const pointer = this.read((hash & 255) * 8, 8);
    const table = pointer.readUInt32LE(0);
    const slots = pointer.readUInt32LE(4);
    if (slots === 0) return;
    let slot = (hash >>> 8) % slots;
    for (let tried = 0; tried < slots; tried++) {
      const entry = this.read(table + slot * 8, 8);
      const at = entry.readUInt32LE(4);
      if (at === 0) return;
      if (entry.readUInt32LE(0) === hash) {
        const sizes = this.read(at, 8);
        const keySize = sizes.readUInt32LE(0);
        if (keySize === wanted.length && this.read(at + 8, keySize).equals(wanted)) {
          yield Buffer.from(this.read(at + 8 + keySize, sizes.readUInt32LE(4)));
        }
      }
      slot = slot + 1 === slots ? 0 : slot + 1;
    }
  }

  close(): void {
    this.done();
  }

  [Symbol.dispose](): void {
    this.done();
  }
}

/** Collects records and lays out the file. Equal keys are kept, in order. */
export class CdbWriter {
  private readonly records: Buffer[] = [];
  private readonly tables: { hash: number; at: number }[][] = Array.from({ length: 256 }, () => []);
  private at = HEADER_BYTES;

  /** RangeError when the file would exceed 4 GiB. */
  add(key: string | Buffer, data: string | Buffer): this {
    const keyBytes = bytesOf(key);
    const dataBytes = bytesOf(data);
    const record = Buffer.alloc(8 + keyBytes.length + dataBytes.length);
    record.writeUInt32LE(keyBytes.length, 0);
    record.writeUInt32LE(dataBytes.length, 4);
    keyBytes.copy(record, 8);
    dataBytes.copy(record, 8 + keyBytes.length);
    const hash = cdbHash(keyBytes);
    this.tables[hash & 255]?.push({ hash, at: this.at });
    this.at += record.length;
    if (this.at > LIMIT_BYTES) throw new RangeError("a cdb file holds at most 4 GiB");
    this.records.push(record);
    return this;
  }

  bytes(): Buffer {
    const header = Buffer.alloc(HEADER_BYTES);
    const tables: Buffer[] = [];
    let at = this.at;
    this.tables.forEach((entries, index) => {
      const slots = entries.length * 2;
      const table = Buffer.alloc(slots * 8);
      for (const entry of entries) {
        let slot = (entry.hash >>> 8) % slots;
        while (table.readUInt32LE(slot * 8 + 4) !== 0) slot = slot + 1 === slots ? 0 : slot + 1;
        table.writeUInt32LE(entry.hash, slot * 8);
        table.writeUInt32LE(entry.at, slot * 8 + 4);
      }
      header.writeUInt32LE(at, index * 8);
      header.writeUInt32LE(slots, index * 8 + 4);
      at += table.length;
      tables.push(table);
    });
    if (at > LIMIT_BYTES) throw new RangeError("a cdb file holds at most 4 GiB");
    return Buffer.concat([header, ...this.records, ...tables]);
  }

  /** Replace `path`: write `temporary` (default `path.tmp`), fsync, rename, fsync the directory. */
  replace(path: string, temporary = `${path}.tmp`): void {
    try {
      const fd = openSync(temporary, "w", 0o644);
      try {
        const bytes = this.bytes();
        writeAllSync(fd, bytes);
        fsyncSync(fd);
      } finally {
        closeSync(fd);
      }
      renameSync(temporary, path);
    } catch (error) {
      try {
        unlinkSync(temporary);
      } catch (second) {
        if (!isErrno(second, "ENOENT")) throw error;
      }
      throw error;
    }
    const directory = openSync(dirname(path), "r");
    try {
      fsyncSync(directory);
    } finally {
      closeSync(directory);
    }
  }
}
