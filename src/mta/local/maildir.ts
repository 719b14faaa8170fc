/**
 * Delivery into a Maildir: write `tmp/U`, fsync, link as `new/U`, unlink `tmp/U`, fsync `new`. The
 * message counts as delivered when the last step is done; a crash before leaves at most a file in
 * `tmp` that readers sweep after 36 hours. Bytes go in verbatim. maildir(5); qmail reference 4.4.
 *
 * Opening, writing and linking take microseconds and are done at once; the two fsyncs take their time
 * in threads, and deliveries into one directory share the fsync of `new`.
 */
import {
  closeSync,
  fsync,
  linkSync,
  openSync,
  renameSync,
  statSync,
  unlinkSync,
  write,
  writevSync,
} from "node:fs";
import { join } from "node:path";
import { promisify } from "node:util";
import { isErrno, isTemporaryErrno, TemporaryError } from "../../lib/errors.ts";
import type { MessageInput } from "../../lib/message-input.ts";

const fsyncFile = promisify(fsync);
const writeFile = promisify(write);

/** How often another name is tried when one is taken. */
const NAME_TRIES = 3;

/** Makes file names no other delivery on any machine uses: `time.M<µs>P<pid>Q<count>.host`. */
export class MaildirNames {
  private count = 0;
  private readonly pid: number;
  private readonly hostname: string;

  constructor(pid: number, hostname: string) {
    this.pid = pid;
    this.hostname = hostname.replaceAll("/", "\\057").replaceAll(":", "\\072");
  }

  next(now: Date): string {
    const milliseconds = now.getTime();
    const seconds = Math.floor(milliseconds / 1000);
    const micro = Math.floor((milliseconds % 1000) * 1000);
    return `${seconds}.M${micro}P${this.pid}Q${++this.count}.${this.hostname}`;
  }
}

export class MaildirWriter {
  private readonly names: MaildirNames;
  private readonly now: () => Date;
  private readonly syncing = new Map<string, DirectorySync>();

  constructor(names: MaildirNames, now: () => Date) {
    this.names = names;
    this.now = now;
  }

  /** Durable when it resolves. `lead`: the Return-Path and Delivered-To lines. */
  async deliver(directory: string, lead: Buffer, message: MessageInput): Promise<void> {
    checkDirectory(directory);
    try {
      const { fd, name } = this.create(directory);
      const temporary = join(directory, "tmp", name);
      try {
        try {
          await writeMessage(fd, lead, message);
          await fsyncFile(fd);
        } finally {
          // After the fsync nothing is left that a failing close could lose.
          closeSync(fd);
        }
        publish(temporary, join(directory, "new", name));
      } catch (error) {
        remove(temporary);
        throw error;
      }
      await this.syncDirectory(join(directory, "new"));
    } catch (error) {
      if (error instanceof TemporaryError) throw error;
      throw new TemporaryError("Temporary error on maildir delivery. (#4.3.0)", { cause: error });
    }
  }

  private create(directory: string): { fd: number; name: string } {
    for (let tries = 1; ; tries++) {
      const name = this.names.next(this.now());
      try {
        return { fd: openSync(join(directory, "tmp", name), "wx", 0o600), name };
      } catch (error) {
        if (!isErrno(error, "EEXIST") || tries === NAME_TRIES) throw error;
      }
    }
  }

  private syncDirectory(directory: string): Promise<void> {
    let sync = this.syncing.get(directory);
    if (!sync) {
      sync = new DirectorySync(directory, () => this.syncing.delete(directory));
      this.syncing.set(directory, sync);
    }
    return sync.request();
  }
}

/** One fsync at a time per directory; requests that arrive meanwhile share the next one. */
class DirectorySync {
  private readonly directory: string;
  private readonly idle: () => void;
  private waiting: { resolve: () => void; reject: (error: unknown) => void }[] = [];
  private running = false;

  constructor(directory: string, idle: () => void) {
    this.directory = directory;
    this.idle = idle;
  }

  request(): Promise<void> {
    return new Promise((resolve, reject) => {
      this.waiting.push({ resolve, reject });
      if (!this.running) this.run();
    });
  }

  private run(): void {
    const batch = this.waiting;
    this.waiting = [];
    this.running = true;
    const finish = (error: unknown): void => {
      this.running = false;
      for (const one of batch) error ? one.reject(error) : one.resolve();
      if (this.waiting.length > 0) this.run();
      else this.idle();
    };
    let fd: number;
    try {
      fd = openSync(this.directory, "r");
    } catch (error) {
      finish(error);
      return;
    }
    fsync(fd, (error) => {
      closeSync(fd);
      finish(error);
    });
  }
}

function checkDirectory(directory: string): void {
  try {
    if (statSync(directory).isDirectory()) return;
  } catch (error) {
    if (isTemporaryErrno(error)) {
      throw new TemporaryError("Temporary error on maildir delivery. (#4.3.0)", { cause: error });
    }
  }
  throw new TemporaryError("Unable to chdir to maildir. (#4.2.1)");
}

async function writeMessage(fd: number, lead: Buffer, message: MessageInput): Promise<void> {
  if (message.buffer) return writeFully(fd, [lead, message.buffer]);
  writeFully(fd, [lead]);
  for await (const chunk of message.chunks()) {
    for (let at = 0; at < chunk.length; ) {
      at += (await writeFile(fd, chunk, at, chunk.length - at)).bytesWritten;
    }
  }
}

function writeFully(fd: number, parts: readonly Buffer[]): void {
  let rest = parts.filter((part) => part.length > 0);
  while (rest.length > 0) {
    let written = writevSync(fd, rest);
    while (rest[0] && written >= rest[0].length) {
      written -= rest[0].length;
      rest = rest.slice(1);
    }
    if (rest[0] && written > 0) rest = [rest[0].subarray(written), ...rest.slice(1)];
  }
}

/** A link never overwrites; where the file system has none, the name is unique enough to rename. */
function publish(from: string, to: string): void {
  try {
    linkSync(from, to);
  } catch (error) {
    if (!isErrno(error, "EPERM", "ENOSYS", "EOPNOTSUPP", "ENOTSUP", "EMLINK")) throw error;
    renameSync(from, to);
    return;
  }
  remove(from);
}

/** Losing this race or failing here leaves a file in `tmp` that a reader sweeps: no reason to fail. */
function remove(path: string): void {
  try {
    unlinkSync(path);
  } catch (error) {
    if (!(error instanceof Error)) throw error;
  }
}
