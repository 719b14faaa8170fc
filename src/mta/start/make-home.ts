/**
 * Makes directories and files of a home, each only when it is missing, with owner and mode. Owners are
 * set by root alone; anybody else makes everything as himself.
 */
import { spawnSync } from "node:child_process";
import {
  chmodSync,
  chownSync,
  existsSync,
  lchownSync,
  lstatSync,
  mkdirSync,
  renameSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { TemporaryError } from "../../lib/errors.ts";
import type { Owner } from "../../lib/one-uid.ts";

export class HomeMaker {
  /** Names of what was missing, as given. */
  readonly made: string[] = [];
  private readonly mayChown: boolean;
  private home = "";

  constructor(mayChown: boolean) {
    this.mayChown = mayChown;
  }

  /** The home itself; everything else is below it. */
  root(path: string, owner: Owner): void {
    this.home = path;
    this.makeDirectory(path, 0o755, owner, "the home");
  }

  directory(name: string, mode: number, owner: Owner): void {
    this.makeDirectory(join(this.home, name), mode, owner, name);
  }

  /** Lets everybody pass through a directory: the queue of an older qmail is 0750. */
  passage(name: string): void {
    const path = join(this.home, name);
    const { mode } = statSync(path);
    if ((mode & 0o011) !== 0o011) chmodSync(path, (mode & 0o7777) | 0o011);
  }

  /** Gives a file to somebody, if it is there: qmail-send of an older qmail was another account. */
  give(name: string, owner: Owner): void {
    const path = join(this.home, name);
    if (this.mayChown && lstatSync(path, { throwIfNoEntry: false })) {
      lchownSync(path, owner.uid, owner.gid);
    }
  }

  /** A directory that is not part of the home. */
  outside(path: string, mode: number, owner: Owner): void {
    this.makeDirectory(path, mode, owner, path);
  }

  exists(name: string): boolean {
    return existsSync(join(this.home, name));
  }

  /** Complete under its name or not there at all. */
  file(name: string, text: string, owner: Owner): void {
    if (this.exists(name)) return;
    const path = join(this.home, name);
    const unfinished = `${path}.new`;
    writeFileSync(unfinished, text, { mode: 0o644 });
    this.finish(unfinished, 0o644, owner);
    renameSync(unfinished, path);
    this.made.push(name);
  }

  maildir(name: string, owner: Owner): void {
    for (const part of ["", "/tmp", "/new", "/cur"]) {
      this.makeDirectory(
        join(this.home, name + part),
        0o700,
        owner,
        part === "" ? name : undefined,
      );
    }
  }

  fifo(name: string, mode: number, owner: Owner): void {
    const path = join(this.home, name);
    const found = lstatSync(path, { throwIfNoEntry: false });
    if (found?.isFIFO()) {
      this.give(name, owner);
      return;
    }
    if (found) throw new TemporaryError(`${path} must be a FIFO; remove it`);
    const made = spawnSync("mkfifo", [path], { encoding: "utf8" });
    if (made.status !== 0) {
      throw new TemporaryError(`cannot run mkfifo ${path}`, { cause: made.error ?? made.stderr });
    }
    this.finish(path, mode, owner);
    this.made.push(name);
  }

  private makeDirectory(path: string, mode: number, owner: Owner, name: string | undefined): void {
    if (existsSync(path)) return;
    mkdirSync(path, { recursive: true });
    this.finish(path, mode, owner);
    if (name !== undefined) this.made.push(name);
  }

  /** Owner before mode: chown clears the setgid bit. */
  private finish(path: string, mode: number, owner: Owner): void {
    if (this.mayChown) chownSync(path, owner.uid, owner.gid);
    chmodSync(path, mode);
  }
}
