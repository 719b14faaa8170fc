/**
 * Makes directories and files of a home, each only when it is missing, with owner and mode. Owners are
 * set by root alone; anybody else makes everything as himself. Parts of a home belong to lesser uids,
 * which may have put anything there before root comes by, so all is done through descriptors (held.ts).
 */
import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { TemporaryError } from "../../lib/errors.ts";
import type { Owner } from "../../lib/one-uid.ts";
import { Held, type Rights } from "./held.ts";

export class HomeMaker {
  /** Names of what was missing, as given. */
  readonly made: string[] = [];
  private readonly asRoot: boolean;
  private home = "";

  constructor(asRoot: boolean) {
    this.asRoot = asRoot;
  }

  /** The home itself; everything else is below it. */
  root(path: string, owner: Owner): void {
    this.home = path;
    this.makeTop(path, 0o755, owner, "the home");
  }

  directory(name: string, mode: number, owner: Owner): void {
    if (this.makeDirectory(name, mode, owner)) this.made.push(name);
  }

  /** Lets everybody pass through a directory: the queue of an older qmail is 0750. */
  passage(name: string): void {
    this.inside(name, (parent, last) =>
      parent.enter(last, this.asRoot).during((directory) => {
        const { mode } = directory.status;
        if ((mode & 0o011) !== 0o011) directory.set({ mode: (mode & 0o7777) | 0o011 });
      }),
    );
  }

  /** Gives a file to somebody, if it is there: qmail-send of an older qmail was another account. */
  give(name: string, owner: Owner): void {
    this.inside(name, (parent, last) => {
      if (parent.has(last)) parent.hold(last).during((file) => file.set(this.rights(owner)));
    });
  }

  /** A directory that is not part of the home. */
  outside(path: string, mode: number, owner: Owner): void {
    this.makeTop(path, mode, owner, path);
  }

  exists(name: string): boolean {
    return existsSync(join(this.home, name));
  }

  /** Complete under its name or not there at all. */
  file(name: string, text: string, owner: Owner): void {
    if (this.exists(name)) return;
    this.inside(name, (parent, last) => parent.makeFile(last, text, this.rights(owner, 0o644)));
    this.made.push(name);
  }

  maildir(name: string, owner: Owner): void {
    const parts = ["", "/tmp", "/new", "/cur"];
    const made = parts.map((part) => this.makeDirectory(name + part, 0o700, owner));
    if (made[0]) this.made.push(name);
  }

  fifo(name: string, mode: number, owner: Owner): void {
    this.inside(name, (parent, last) => {
      const missing = !parent.has(last);
      if (missing) mkfifo(parent, last);
      parent.hold(last).during((fifo) => {
        if (!fifo.status.isFIFO())
          throw new TemporaryError(`${fifo.path} must be a FIFO; remove it`);
        fifo.set(this.rights(owner, missing ? mode : undefined));
      });
      if (missing) this.made.push(name);
    });
  }

  private rights(owner: Owner, mode?: number): Rights {
    return { owner: this.asRoot ? owner : undefined, mode };
  }

  /** What is above it is made as ours; its place was named by who started us. */
  private makeTop(path: string, mode: number, owner: Owner, name: string): void {
    if (existsSync(path)) return;
    const above = dirname(path);
    mkdirSync(above, { recursive: true });
    naming(path, () =>
      Held.directory(above).during((parent) =>
        parent.makeDirectory(basename(path), this.rights(owner, mode)),
      ),
    );
    this.made.push(name);
  }

  private makeDirectory(name: string, mode: number, owner: Owner): boolean {
    return this.inside(name, (parent, last) => {
      if (parent.has(last)) return false;
      parent.makeDirectory(last, this.rights(owner, mode));
      return true;
    });
  }

  /** Works in the directory that holds `name`. */
  private inside<T>(name: string, work: (parent: Held, last: string) => T): T {
    const descend = (directory: Held, folders: readonly string[]): T => {
      const [next, ...rest] = folders;
      return directory.during((held) =>
        next === undefined
          ? work(held, basename(name))
          : descend(held.enter(next, this.asRoot), rest),
      );
    };
    const folders = name.split("/").slice(0, -1);
    return naming(join(this.home, name), () => descend(Held.directory(this.home), folders));
  }
}

/** System errors tell of the path that was meant, not of the descriptor it went through. */
function naming<T>(path: string, work: () => T): T {
  try {
    return work();
  } catch (error) {
    if (error instanceof Error && "path" in error) error.path = path;
    throw error;
  }
}

function mkfifo(parent: Held, name: string): void {
  const made = spawnSync("mkfifo", [name], { cwd: parent.self, encoding: "utf8" });
  if (made.status === 0) return;
  throw new TemporaryError(`cannot run mkfifo ${join(parent.path, name)}`, {
    cause: made.error ?? made.stderr,
  });
}
