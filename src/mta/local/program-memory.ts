/**
 * What is known of addresses with program lines: which need a worker for themselves, and which have killed
 * theirs. One that did so again and again is run as commands, so that what dies is a process of its own.
 */
import { addressKey, type Need } from "./worker-group.ts";
import type { Run } from "./worker-process.ts";

/** Addresses remembered. */
const MOST = 20_000;

interface Programs {
  /** They work in the worker, for long. */
  readonly alone: boolean;
  /** A worker died while they and others ran in it: until they survive one alone, each has one for itself. */
  isSuspected: boolean;
  /** Workers that died of them. */
  kills: number;
}

export class ProgramMemory {
  private readonly programs = new Map<string, Programs>();
  private readonly killsForgiven: number;
  private suspected = 0;

  constructor(killsForgiven: number) {
    this.killsForgiven = killsForgiven;
  }

  needOf(run: Run): Need {
    const known = this.find(run);
    if (!known) return "room";
    if (known.kills >= this.killsForgiven) return "program";
    return known.alone || known.isSuspected ? "worker" : "program";
  }

  /** Whether nothing of it may run in the worker. */
  isCommand(run: Run): boolean {
    return (this.find(run)?.kills ?? 0) >= this.killsForgiven;
  }

  remember(run: Run, alone: boolean): void {
    const key = addressKey(run);
    const known = this.programs.get(key);
    // As a command it needs no worker, which says nothing of it.
    if (run.asCommand || known?.alone === alone) return;
    this.forget(key);
    this.programs.set(key, { isSuspected: false, kills: 0, ...known, alone });
    if (known?.isSuspected) this.suspected++;
    if (this.programs.size <= MOST) return;
    const [oldest] = this.programs.keys();
    if (oldest !== undefined) this.forget(oldest);
  }

  /** A worker died while these ran in it. */
  accuse(runs: readonly Run[]): void {
    const keys = new Set(runs.map(addressKey));
    for (const key of keys) {
      const known = this.programs.get(key);
      if (!known) continue;
      if (keys.size === 1) known.kills++;
      else if (!known.isSuspected) {
        known.isSuspected = true;
        this.suspected++;
      }
    }
  }

  /** These ended, and their worker lives. */
  acquit(runs: readonly Run[]): void {
    if (this.suspected === 0) return;
    for (const run of runs) {
      const known = this.find(run);
      if (!known?.isSuspected) continue;
      known.isSuspected = false;
      this.suspected--;
    }
  }

  private find(run: Run): Programs | undefined {
    return this.programs.size > 0 ? this.programs.get(addressKey(run)) : undefined;
  }

  private forget(key: string): void {
    if (this.programs.get(key)?.isSuspected) this.suspected--;
    this.programs.delete(key);
  }
}
