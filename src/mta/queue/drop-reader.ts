/**
 * Reads `queue/drop`. Everything there was written by somebody we do not trust: a name is opened
 * without following links and without blocking, must be a regular file with one link, is read
 * through that one descriptor, and belongs to the uid that owns it. Anything else is removed with one
 * log line. Users take turns. A file is removed after its message is committed; should we die
 * between, its key keeps the second reading from queueing it again.
 */
import { constants } from "node:fs";
import { type FileHandle, lstat, open, opendir, rm, rmdir } from "node:fs/promises";
import { join } from "node:path";
import { errorText, isErrno, isTemporaryErrno } from "../../lib/errors.ts";
import { copyBody, copyEnvelope, readExactly } from "./drop-copy.ts";
import {
  DROP_FILE_LIMIT,
  DROP_TRAILER_BYTES,
  type DropTrailer,
  decodeDropTrailer,
} from "./drop-file.ts";
import type { Failpoint } from "./failpoint.ts";
import type { Intake } from "./intake.ts";
import { KEY_LIMIT } from "./intake-answer.ts";

/** Names looked at per scan, and files taken at the same time so that they share a commit. */
const SCAN_NAMES = 1000;
const AT_ONCE = 16;
/** Must exceed the life of any writer. qmail reference 0.2. */
const OLD_MS = 129_600_000;

export interface DropOptions {
  readonly home: string;
  readonly intake: Intake;
  readonly failpoint: Failpoint;
  now(): Date;
  phrase(uid: number): string;
  forgetKey(key: string, uid: number): Promise<unknown>;
  removed(name: string, uid: number, why: string): void;
  /** Why something stays there: `kind` and a name. */
  trouble(kind: string, name: string, error: unknown): void;
}

interface Candidate {
  readonly name: string;
  readonly file: FileHandle;
  readonly uid: number;
  readonly sizeBytes: number;
}

interface Taken {
  readonly key: string;
  readonly uid: number;
}

export class DropReader {
  private readonly o: DropOptions;
  private readonly dir: string;
  private running: Promise<boolean> | undefined;
  private again = false;
  private stopped = false;
  /** Files of this scan that stay for the next one. */
  private left = 0;

  constructor(options: DropOptions) {
    this.o = options;
    this.dir = join(options.home, "queue", "drop");
  }

  /**
   * Scan now, or once more when a scan is running. Resolves when nothing takeable is left; false: something may be
   * left that could not be read or queued.
   */
  scan(): Promise<boolean> {
    this.again = true;
    this.running ??= this.scanAll().finally(() => {
      this.running = undefined;
    });
    return this.running;
  }

  async stop(): Promise<void> {
    this.stopped = true;
    await this.running;
  }

  private async scanAll(): Promise<boolean> {
    let isClean = false;
    while (this.again && !this.stopped) {
      this.again = false;
      this.left = 0;
      const names = await this.names();
      const more = await this.takeAll(names);
      // A full look may have hidden others; without progress they wait for the next trigger.
      const isFull = names.length >= SCAN_NAMES;
      if (isFull && more > 0) this.again = true;
      isClean = !isFull && this.left === 0;
    }
    return isClean && !this.stopped;
  }

  private async names(): Promise<string[]> {
    const names: string[] = [];
    try {
      for await (const entry of await opendir(this.dir)) {
        if (isUnfinished(entry.name)) continue;
        // At once: full ones stay, and very many of them must not hide the mail behind them.
        if (entry.isDirectory()) await this.remove(entry.name, -1, "not a regular file");
        else names.push(entry.name);
        if (names.length >= SCAN_NAMES) break;
      }
    } catch (error) {
      if (!isErrno(error, "ENOENT")) throw error;
    }
    return names;
  }

  /**
   * Removes what writers that died left unfinished. Once an hour or so: each is looked at, and there may be as many
   * as users like. Never rejects.
   */
  async sweep(): Promise<void> {
    try {
      for await (const { name } of await opendir(this.dir)) {
        if (this.stopped) return;
        if (isUnfinished(name)) await this.removeOld(name);
      }
    } catch (error) {
      if (!isErrno(error, "ENOENT"))
        this.o.trouble("unable to sweep the drop directory", "", error);
    }
  }

  private async removeOld(name: string): Promise<void> {
    const path = join(this.dir, name);
    try {
      const found = await lstat(path);
      if (this.o.now().getTime() - found.mtimeMs <= OLD_MS) return;
      if (found.isDirectory()) await this.remove(name, found.uid, "not a regular file");
      else await rm(path, { force: true });
    } catch (error) {
      if (!isErrno(error, "ENOENT")) this.o.trouble("unable to remove drop file", name, error);
    }
  }

  /** How many were taken. */
  private async takeAll(names: readonly string[]): Promise<number> {
    const byUid = new Map<number, string[]>();
    for (const name of names) {
      const uid = await this.owner(name);
      if (uid === undefined) continue;
      const list = byUid.get(uid);
      if (list) list.push(name);
      else byUid.set(uid, [name]);
    }
    let taken = 0;
    while (byUid.size > 0 && !this.stopped) {
      const round: string[] = [];
      while (round.length < AT_ONCE && byUid.size > 0) {
        for (const [uid, list] of byUid) {
          const name = list.shift();
          if (name !== undefined) round.push(name);
          if (list.length === 0) byUid.delete(uid);
        }
      }
      const done = (await Promise.all(round.map((name) => this.takeSafely(name)))).filter(
        (one) => one !== undefined,
      );
      taken += done.length;
      if (done.length > 0) await this.settle(done);
    }
    return taken;
  }

  private async owner(name: string): Promise<number | undefined> {
    try {
      return (await lstat(join(this.dir, name))).uid;
    } catch (error) {
      if (!isErrno(error, "ENOENT")) {
        this.left++;
        this.o.trouble("unable to look at drop file", name, error);
      }
      return undefined;
    }
  }

  /** The removals are on disk before the keys that cover them go. */
  private async settle(done: readonly Taken[]): Promise<void> {
    const dir = await open(this.dir, "r");
    try {
      await dir.sync();
    } finally {
      await dir.close();
    }
    await Promise.all(
      done.map(({ key, uid }) => (key.startsWith("!drop/") ? this.o.forgetKey(key, uid) : null)),
    );
  }

  private async takeSafely(name: string): Promise<Taken | undefined> {
    try {
      return await this.take(name);
    } catch (error) {
      this.left++; // the next scan tries again
      this.o.trouble("unable to take drop file", name, error);
      return undefined;
    }
  }

  private async take(name: string): Promise<Taken | undefined> {
    const candidate = await this.open(name);
    if (!candidate) return undefined;
    const { file, uid, sizeBytes } = candidate;
    try {
      const trailer = await this.trailer(candidate);
      if (!trailer) {
        await this.remove(name, uid, "not a complete message");
        return undefined;
      }
      const { keyBytes, prefixBytes, urgency } = trailer;
      const prefixAt = sizeBytes - DROP_TRAILER_BYTES - prefixBytes;
      const own = (await readExactly(file, prefixAt - keyBytes, keyBytes)).toString("utf8");
      const prefix = (await readExactly(file, prefixAt, prefixBytes)).toString("latin1");
      const key = own === "" ? `!drop/${name}` : own;
      const phrase = this.o.phrase(uid);
      const message = this.o.intake.open({ uid, phrase, key, urgency, prefix });
      try {
        await copyBody(file, trailer, message);
        await copyEnvelope(file, trailer, message);
      } catch (error) {
        await message.abort();
        throw error;
      }
      const answer = await message.commit();
      if (!answer.accepted && answer.verdict === "Z") {
        this.left++;
        return undefined;
      }
      if (answer.accepted) {
        this.o.failpoint.hit("drop-before-unlink");
        await rm(join(this.dir, name), { force: true });
        return { key, uid };
      }
      await this.remove(name, uid, answer.text);
      return undefined;
    } finally {
      await file.close();
    }
  }

  private async open(name: string): Promise<Candidate | undefined> {
    const path = join(this.dir, name);
    let file: FileHandle;
    try {
      file = await open(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
    } catch (error) {
      if (isErrno(error, "ENOENT")) return undefined;
      // Our own lack of descriptors or memory says nothing about the file: it stays.
      if (isTemporaryErrno(error)) throw error;
      const uid = (await this.owner(name)) ?? -1;
      await this.remove(name, uid, errorText(error));
      return undefined;
    }
    const found = await file.stat();
    let why: string | undefined;
    if (!name.startsWith("m.")) why = "unknown name";
    else if (!found.isFile()) why = "not a regular file";
    else if (found.nlink !== 1) why = "more than one link";
    else if (found.size > DROP_FILE_LIMIT) why = "too big";
    if (why === undefined) return { name, file, uid: found.uid, sizeBytes: found.size };
    await file.close();
    await this.remove(name, found.uid, why);
    return undefined;
  }

  private async trailer({ file, sizeBytes }: Candidate): Promise<DropTrailer | undefined> {
    if (sizeBytes < DROP_TRAILER_BYTES) return undefined;
    const bytes = await readExactly(file, sizeBytes - DROP_TRAILER_BYTES, DROP_TRAILER_BYTES);
    const trailer = decodeDropTrailer(bytes, sizeBytes);
    return trailer && trailer.keyBytes <= KEY_LIMIT ? trailer : undefined;
  }

  private async remove(name: string, uid: number, why: string): Promise<void> {
    const path = join(this.dir, name);
    try {
      await rm(path, { force: true });
      this.o.removed(name, uid, why);
    } catch (error) {
      // A directory: only an empty one goes; a full one is for the administrator.
      const stays = (also: unknown): void => {
        const reason = isErrno(also, "ENOTDIR") ? error : also;
        this.o.trouble("unable to remove drop file", name, reason);
      };
      await rmdir(path).then(() => this.o.removed(name, uid, why), stays);
    }
  }
}

/** What a writer is still at, or died of. */
function isUnfinished(name: string): boolean {
  return name.startsWith("tmp.");
}
