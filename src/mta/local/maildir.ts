/**
 * Delivery into a Maildir: write `tmp/U`, fsync, rename to `new/U`, fsync `new`. The message counts as
 * delivered when the last step is done; a crash before leaves at most a file in `tmp` that readers sweep
 * after 36 hours. Bytes go in verbatim. maildir(5); qmail reference 4.4.
 *
 * What arrives in one turn is done together and shares the fsync of `new`. What the disk syncs in a few
 * milliseconds is synced in this thread: on a quick disk handing an fsync to a thread and back costs more
 * than the fsync. More than that goes to threads, where fsyncs overlap. All files of a directory are synced
 * before the first is renamed: on ext4 a rename makes `tmp` dirty, and the next fsync of a new file in it
 * writes `tmp` again, which is a fifth of the work.
 */
import {
  closeSync,
  constants,
  fsync,
  fsyncSync,
  openSync,
  renameSync,
  statSync,
  unlinkSync,
  write,
  writevSync,
} from "node:fs";
import { promisify } from "node:util";
import { isErrno, isTemporaryErrno, TemporaryError } from "../../lib/errors.ts";
import type { MessageInput } from "../../lib/message-input.ts";
import { DirectorySyncs, syncDirectoryNow } from "./directory-sync.ts";
import { DiskPace } from "./disk-pace.ts";
import type { MaildirNames } from "./maildir-names.ts";

const fsyncFile = promisify(fsync);
const writeFile = promisify(write);

/** How often another name is tried when one is taken. */
const NAME_TRIES = 3;
const NEW_FILE = constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL;

/** A message that is in memory, on its way. */
interface Delivery {
  readonly directory: string;
  readonly parts: readonly Buffer[];
  resolve(): void;
  reject(error: unknown): void;
}

/** Its file in `tmp`, written and open. */
interface Written {
  readonly delivery: Delivery;
  readonly fd: number;
  readonly name: string;
  /** Why its fsync failed. */
  failure: unknown;
}

export class MaildirWriter {
  private readonly names: MaildirNames;
  private readonly now: () => Date;
  private readonly syncs = new DirectorySyncs();
  private readonly pace = new DiskPace();
  private turn: Delivery[] = [];

  constructor(names: MaildirNames, now: () => Date) {
    this.names = names;
    this.now = now;
  }

  /** Durable when it resolves. `lead`: the Return-Path and Delivered-To lines. */
  async deliver(directory: string, lead: Buffer, message: MessageInput): Promise<void> {
    const { buffer } = message;
    try {
      await (buffer
        ? this.deliverThisTurn(directory, [lead, buffer])
        : this.deliverStream(directory, lead, message));
    } catch (error) {
      if (error instanceof TemporaryError) throw error;
      throw new TemporaryError("Temporary error on maildir delivery. (#4.3.0)", { cause: error });
    }
  }

  private deliverThisTurn(directory: string, parts: readonly Buffer[]): Promise<void> {
    if (this.turn.length === 0) setImmediate(() => this.runTurn());
    return new Promise((resolve, reject) => {
      this.turn.push({ directory, parts, resolve, reject });
    });
  }

  private runTurn(): void {
    const deliveries = this.turn;
    this.turn = [];
    const directories = new Map<string, Written[]>();
    for (const delivery of deliveries) {
      try {
        const written = this.write(delivery);
        const others = directories.get(delivery.directory);
        if (others) others.push(written);
        else directories.set(delivery.directory, [written]);
      } catch (error) {
        delivery.reject(error);
      }
    }
    let fsyncs = directories.size;
    for (const files of directories.values()) fsyncs += files.length;
    if (!this.pace.isQuick(fsyncs)) this.pace.rest();
    for (const [directory, files] of directories) {
      if (this.pace.isQuick(fsyncs)) this.syncHere(directory, files, fsyncs);
      else this.syncInThreads(directory, files);
      fsyncs -= files.length + 1;
    }
  }

  private write(delivery: Delivery): Written {
    const { directory, parts } = delivery;
    const { fd, name } = this.create(directory);
    try {
      writeFully(fd, parts);
    } catch (error) {
      closeSync(fd);
      remove(`${directory}/tmp/${name}`);
      throw error;
    }
    return { delivery, fd, name, failure: undefined };
  }

  private syncInThreads(directory: string, files: readonly Written[]): void {
    let left = files.length;
    for (const file of files) {
      fsync(file.fd, (error) => {
        file.failure = error;
        if (--left > 0) return;
        const published = publishAll(directory, files);
        if (published.length === 0) return;
        this.syncs.request(`${directory}/new`).then(
          () => settle(published, undefined),
          (failure: unknown) => settle(published, failure),
        );
      });
    }
  }

  /** `fsyncs`: what this turn still has to do, here and elsewhere. */
  private syncHere(directory: string, files: readonly Written[], fsyncs: number): void {
    let count = 0;
    for (const file of files) {
      if (!this.pace.isQuick(fsyncs - count)) break;
      file.failure = this.pace.measure(() => attempt(() => fsyncSync(file.fd)));
      count++;
    }
    if (count < files.length) this.syncInThreads(directory, files.slice(count));
    const published = publishAll(directory, files.slice(0, count));
    if (published.length === 0) return;
    settle(
      published,
      this.pace.measure(() => attempt(() => syncDirectoryNow(`${directory}/new`))),
    );
  }

  /** A message that does not fit into memory. */
  private async deliverStream(
    directory: string,
    lead: Buffer,
    message: MessageInput,
  ): Promise<void> {
    const { fd, name } = this.create(directory);
    let failure: unknown;
    try {
      writeFully(fd, [lead]);
      for await (const chunk of message.chunks()) {
        for (let at = 0; at < chunk.length; ) {
          at += (await writeFile(fd, chunk, at, chunk.length - at)).bytesWritten;
        }
      }
      await fsyncFile(fd);
    } catch (error) {
      failure = error;
    }
    publish(directory, name, fd, failure);
    await this.syncs.request(`${directory}/new`);
  }

  private create(directory: string): { fd: number; name: string } {
    for (let tries = 1; ; tries++) {
      const name = this.names.next(this.now());
      try {
        return { fd: openSync(`${directory}/tmp/${name}`, NEW_FILE, 0o600), name };
      } catch (error) {
        if (isErrno(error, "EEXIST") && tries < NAME_TRIES) continue;
        throw isDirectory(directory)
          ? error
          : new TemporaryError("Unable to chdir to maildir. (#4.2.1)", { cause: error });
      }
    }
  }
}

/** The error of `act`, if any. */
function attempt(act: () => void): unknown {
  try {
    act();
    return undefined;
  } catch (error) {
    return error;
  }
}

/** Move synced files to `new`. Answers the deliveries of those that are there; the others are told why not. */
function publishAll(directory: string, files: readonly Written[]): Delivery[] {
  const published: Delivery[] = [];
  for (const { delivery, fd, name, failure } of files) {
    try {
      publish(directory, name, fd, failure);
      published.push(delivery);
    } catch (error) {
      delivery.reject(error);
    }
  }
  return published;
}

function settle(deliveries: readonly Delivery[], failure: unknown): void {
  for (const delivery of deliveries) failure ? delivery.reject(failure) : delivery.resolve();
}

/** Move a synced file to `new`; with an error so far, or a new one, nothing is left and it throws. */
function publish(directory: string, name: string, fd: number, failure: unknown): void {
  const temporary = `${directory}/tmp/${name}`;
  try {
    // After the fsync nothing is left that a failing close could lose.
    closeSync(fd);
    if (failure) throw failure;
    // No link: it would cost two calls, and nobody else has this name.
    renameSync(temporary, `${directory}/new/${name}`);
  } catch (error) {
    remove(temporary);
    throw error;
  }
}

function isDirectory(directory: string): boolean {
  try {
    return statSync(directory).isDirectory();
  } catch (error) {
    // Not known: the trouble we met says more.
    return isTemporaryErrno(error);
  }
}

function writeFully(fd: number, parts: readonly Buffer[]): void {
  let rest = parts;
  for (let left = rest.reduce((sum, part) => sum + part.length, 0); left > 0; ) {
    let written = writevSync(fd, rest);
    left -= written;
    while (left > 0 && written > 0) {
      const [first, ...others] = rest as [Buffer, ...Buffer[]];
      rest = written < first.length ? [first.subarray(written), ...others] : others;
      written -= Math.min(written, first.length);
    }
  }
}

/** Losing this race or failing here leaves a file in `tmp` that a reader sweeps: no reason to fail. */
function remove(path: string): void {
  try {
    unlinkSync(path);
  } catch (error) {
    if (!(error instanceof Error)) throw error;
  }
}
