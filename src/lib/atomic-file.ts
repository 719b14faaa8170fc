/**
 * Small state files that are old or new after a crash, never half: temp file beside it, fsync,
 * rename, fsync of the directory. Callers that read, change and write hold a lock over all three.
 */
import { closeSync, fsyncSync, openSync, renameSync, rmSync, writeSync } from "node:fs";
import { dirname } from "node:path";

export interface AtomicWrite {
  /** Permission bits of the new file; default 0600. */
  readonly mode?: number;
  /** Path of the temp file, in the same directory; default `<path>n`. */
  readonly temp?: string;
}

/** Replace `path` by `bytes`. Throws the system error; then `path` is as it was. */
export function writeFileAtomic(
  path: string,
  bytes: string | Uint8Array,
  options: AtomicWrite = {},
): void {
  const temp = options.temp ?? `${path}n`;
  const buffer = typeof bytes === "string" ? Buffer.from(bytes) : bytes;
  // A temp file left by a crash may belong to a mode of long ago: begin with a new one.
  rmSync(temp, { force: true });
  const fd = openSync(temp, "wx", options.mode ?? 0o600);
  try {
    for (let at = 0; at < buffer.length; ) at += writeSync(fd, buffer, at);
    fsyncSync(fd);
  } catch (error) {
    closeSync(fd);
    rmSync(temp, { force: true });
    throw error;
  }
  closeSync(fd);
  renameSync(temp, path);
  fsyncDirectory(dirname(path));
}

/** Make names in a directory durable. */
export function fsyncDirectory(path: string): void {
  const fd = openSync(path, "r");
  try {
    fsyncSync(fd);
  } finally {
    closeSync(fd);
  }
}
