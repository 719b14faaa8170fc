/**
 * Deliveries through another program: what QMAILREMOTE names, run per delivery as
 * `program host sender recipient` with the message as stdin and the report on descriptors 1 and 2.
 */
import { spawn } from "node:child_process";
import { randomBytes } from "node:crypto";
import { closeSync, createReadStream, mkdtempSync, openSync, rmSync } from "node:fs";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { Environment } from "../../lib/program.ts";
import { REPORT_LIMIT } from "../channel/protocol.ts";
import { type MergedVerdict, mergeVerdict } from "./verdict-merge.ts";

/** Message files by name in a directory of our own: each run opens its own, at offset 0. */
export class RawBodies {
  private readonly directory: string;
  private readonly files = new Map<number, Promise<string>>();

  constructor(parent: string) {
    this.directory = mkdtempSync(join(parent, "ezqmail-"));
  }

  /** The path of a message; `source` is read when it is not here yet. */
  path(message: number, source: () => AsyncIterable<Uint8Array>): Promise<string> {
    const known = this.files.get(message);
    if (known) return known;
    const path = join(this.directory, String(message));
    const made = writeFile(path, source(), { mode: 0o600 }).then(() => path);
    this.files.set(message, made);
    made.catch(() => this.files.delete(message));
    return made;
  }

  forget(message: number): void {
    const known = this.files.get(message);
    this.files.delete(message);
    known?.then((path) => rmSync(path, { force: true })).catch(() => {});
  }

  close(): void {
    rmSync(this.directory, { recursive: true, force: true });
  }
}

export interface ExternalDelivery {
  readonly program: string;
  readonly host: string;
  readonly sender: string;
  readonly recipient: string;
  /** File that holds the message. */
  readonly path: string;
  /** What this copy has in front of it, "" for nothing. */
  readonly prefix: string;
  readonly env: Environment;
}

/** The message at its first byte; with a prefix that is a copy without a name. */
async function openMessage(path: string, prefix: string): Promise<number> {
  if (prefix === "") return openSync(path, "r");
  const copy = `${path}.${randomBytes(8).toString("hex")}`;
  async function* bytes(): AsyncIterable<Uint8Array> {
    yield Buffer.from(prefix, "latin1");
    yield* createReadStream(path);
  }
  try {
    await writeFile(copy, bytes(), { mode: 0o600, flag: "wx" });
    return openSync(copy, "r");
  } finally {
    rmSync(copy, { force: true });
  }
}

/** Never rejects: what cannot be run is a temporary verdict. */
export async function runExternal(delivery: ExternalDelivery): Promise<MergedVerdict> {
  const { program, host, sender, recipient, path, prefix, env } = delivery;
  const failed: MergedVerdict = { verdict: "Z", text: "Unable to run qmail-remote.\n" };
  let fd: number;
  try {
    fd = await openMessage(path, prefix);
  } catch {
    return failed;
  }
  return new Promise((resolve) => {
    const unable = (): void => resolve(failed);
    try {
      const child = spawn(program, [host, sender, recipient], {
        stdio: [fd, "pipe", "pipe"],
        env: { ...env },
      });
      const parts: Buffer[] = [];
      let size = 0;
      const collect = (chunk: Buffer): void => {
        if (size <= REPORT_LIMIT) parts.push(chunk);
        size += chunk.length;
      };
      child.stdout?.on("data", collect);
      child.stderr?.on("data", collect);
      child.on("error", unable);
      child.on("close", (code, signal) =>
        resolve(mergeVerdict({ code, signal, output: Buffer.concat(parts) })),
      );
    } catch {
      unable();
    } finally {
      closeSync(fd);
    }
  });
}
