/**
 * Which jobs are being delivered (`queue/lock/running`): what was out when the process died may be what
 * killed it. Written without fsync, since a machine that goes down proves nothing against a mail, once a
 * turn, before what was started in it leaves. Only a hint: trouble with the file is nobody's trouble.
 */
import { closeSync, ftruncateSync, openSync, readFileSync, writeSync } from "node:fs";

/** Above this the file is written anew with what is out now. */
const LONG = 65_536;

/** Ids of jobs that were out when the last process ended; none after an orderly end. */
export function jobsThatWereOut(path: string): number[] {
  let text: string;
  try {
    text = readFileSync(path, "latin1");
  } catch {
    return [];
  }
  const out = new Map<number, number>();
  for (const [, sign, digits] of text.matchAll(/([+-])(\d{1,15})\b/g)) {
    const id = Number(digits);
    out.set(id, (out.get(id) ?? 0) + (sign === "+" ? 1 : -1));
  }
  return [...out].filter(([, count]) => count > 0).map(([id]) => id);
}

export class OutRecord {
  private readonly fd: number | undefined;
  private readonly out = new Map<number, number>();
  /** Starts and ends of this turn. */
  private turn = "";
  private size = 0;

  /** Begins with nothing out; what the file said is gone. */
  constructor(path: string) {
    try {
      this.fd = openSync(path, "w", 0o600);
    } catch {
      // Then nobody is suspected after a crash.
    }
  }

  started(jobs: readonly number[]): void {
    for (const id of jobs) {
      this.out.set(id, (this.out.get(id) ?? 0) + 1);
      this.turn += `+${id} `;
    }
  }

  ended(jobs: readonly number[]): void {
    for (const id of jobs) {
      const count = (this.out.get(id) ?? 0) - 1;
      if (count > 0) this.out.set(id, count);
      else this.out.delete(id);
      this.turn += `-${id} `;
    }
  }

  /** At the end of a turn. */
  flush(): void {
    if (this.turn === "") return;
    const { turn } = this;
    this.turn = "";
    if (this.size < LONG) {
      this.append(turn);
      return;
    }
    this.truncate();
    this.append([...this.out].map(([id, count]) => `+${id} `.repeat(count)).join(""));
  }

  private append(text: string): void {
    if (this.fd === undefined) return;
    try {
      this.size += writeSync(this.fd, `${text}\n`, this.size, "latin1");
    } catch {
      // Disk full, perhaps: a hint less.
    }
  }

  private truncate(): void {
    this.size = 0;
    try {
      if (this.fd !== undefined) ftruncateSync(this.fd);
    } catch {
      // What is read too much is rows that are gone, mostly.
    }
  }

  close(): void {
    this.truncate();
    if (this.fd !== undefined) closeSync(this.fd);
  }
}
