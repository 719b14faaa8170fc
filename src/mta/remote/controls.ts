/**
 * The control files of qmail-remote, reread when one of them changes. Looked at no more than once a
 * second, since every slot asks.
 */
import { statSync } from "node:fs";
import { join } from "node:path";
import { Control } from "../../lib/control.ts";
import { TemporaryError } from "../../lib/errors.ts";

export interface RemoteControls {
  readonly heloHost: string;
  readonly routes: ReadonlyMap<string, string> | undefined;
  readonly connectSeconds: number;
  /** Longest wait for each reply, and for each write to be taken. */
  readonly replySeconds: number;
}

const names = ["me", "helohost", "smtproutes", "timeoutconnect", "timeoutremote"];

/** Throws TemporaryError when they cannot be read or neither helohost nor me exists. */
export function readRemoteControls(home: string): RemoteControls {
  const control = new Control(home);
  const heloHost = control.lineOrMe("helohost", "");
  if (heloHost === "" || /[^\x21-\x7e]/.test(heloHost)) {
    throw new TemporaryError("Unable to read control files. (#4.3.0)");
  }
  return {
    heloHost,
    routes: control.map("smtproutes"),
    connectSeconds: Math.max(1, control.number("timeoutconnect", 60)),
    replySeconds: Math.max(1, control.number("timeoutremote", 1200)),
  };
}

export class ControlCache {
  private readonly home: string;
  private readonly now: () => number;
  private current: RemoteControls | undefined;
  private stamp = "";
  private lookedAt = 0;
  /** Raised whenever the files were read anew: what was derived from them is stale. */
  generation = 0;

  constructor(home: string, now: () => number) {
    this.home = home;
    this.now = now;
  }

  /** Throws as readRemoteControls does; the next call tries again. */
  get(): RemoteControls {
    const now = this.now();
    if (this.current && now - this.lookedAt < 1000 && now >= this.lookedAt) return this.current;
    const stamp = names.map((name) => this.stampOf(name)).join(" ");
    if (!this.current || stamp !== this.stamp) {
      this.current = undefined;
      this.current = readRemoteControls(this.home);
      this.stamp = stamp;
      this.generation++;
    }
    this.lookedAt = now;
    return this.current;
  }

  private stampOf(name: string): string {
    const found = statSync(join(this.home, "control", name), { throwIfNoEntry: false });
    return found ? `${found.mtimeMs}.${found.ino}.${found.size}` : "-";
  }
}
