/**
 * What the writer thread does with a batch: all of it in one transaction, so one fsync answers
 * everybody who gathered while the last one was in flight. If an operation fails, the batch runs
 * again one by one, so that each failure meets only its own caller. After an I/O error (a failed
 * fsync among them) nothing runs any more: the kernel may have thrown away what it could not write,
 * and the same commit would then succeed without being on disk.
 */
import { closeSync, openSync, readSync, rmSync } from "node:fs";
import { join } from "node:path";
import { causeText } from "../../lib/errors.ts";
import { sqliteCode } from "../../lib/sqlite.ts";
import { Router } from "../send/route.ts";
import { crashBackoff } from "../send/schedule.ts";
import type { Failpoint, FailpointName } from "./failpoint.ts";
import { accept, type ExpandContext, expand, finish, mark } from "./states.ts";
import type { Store } from "./store.ts";
import {
  type CrashedJob,
  UNKNOWN_ON_DISK,
  type WriteAnswer,
  type WriteKind,
  type WriteOperation,
  type WriteResults,
} from "./work.ts";

/** Enough for a slice of ordinary addresses, and for one of the longest. */
const ENVELOPE_READ = 65536;

type Failure = WriteAnswer & { readonly ok: false };

export class Writer {
  private readonly store: Store;
  private readonly mess: string;
  private readonly failpoint: Failpoint;
  private context: ExpandContext;
  /** The error after which nothing runs any more. */
  private broken: Failure | undefined;

  constructor(store: Store, mess: string, failpoint: Failpoint) {
    this.store = store;
    this.mess = mess;
    this.failpoint = failpoint;
    this.context = this.contextFor(
      new Router({
        envnoathost: "localhost",
        locals: [],
        percenthack: [],
        virtualdomains: [],
        smtproutes: [],
      }),
    );
  }

  private contextFor(router: Router): ExpandContext {
    return { router, readSpilled: (message, offset) => this.readSpilled(message, offset) };
  }

  private readSpilled(message: number, offset: number): Buffer {
    const fd = openSync(join(this.mess, `${message}.envelope`), "r");
    try {
      const buffer = Buffer.allocUnsafe(ENVELOPE_READ);
      return buffer.subarray(0, readSync(fd, buffer, 0, ENVELOPE_READ, offset));
    } finally {
      closeSync(fd);
    }
  }

  /** Answers in the order of the operations; everything answered with ok is durable. */
  run(batch: readonly WriteOperation[]): WriteAnswer[] {
    const answers = this.attempt(batch);
    if (Array.isArray(answers)) return answers;
    if (batch.length === 1 || this.broken) return batch.map(() => answers);
    return batch.map((operation) => {
      const alone = this.attempt([operation]);
      return Array.isArray(alone) ? (alone[0] as WriteAnswer) : alone;
    });
  }

  private attempt(batch: readonly WriteOperation[]): WriteAnswer[] | Failure {
    if (this.broken) return this.broken;
    try {
      return this.transaction(batch);
    } catch (error) {
      const failure: Failure = { ok: false, code: sqliteCode(error), text: causeText(error) };
      if (UNKNOWN_ON_DISK.test(failure.code)) this.broken = failure;
      return failure;
    }
  }

  private transaction(batch: readonly WriteOperation[]): WriteAnswer[] {
    this.store.begin();
    let answers: WriteAnswer[];
    try {
      answers = batch.map((operation) => ({ ok: true, value: this.apply(operation) }));
      this.reached(batch, "before");
      this.store.commit();
    } catch (error) {
      this.store.rollback();
      throw error;
    }
    this.reached(batch, "after");
    this.removeSpills(batch, answers);
    return answers;
  }

  private apply(operation: WriteOperation): WriteResults[WriteKind] {
    switch (operation.kind) {
      case "accept":
        return accept(this.store, operation.message, operation.slice);
      case "expand":
        return expand(this.store, operation.message, this.context) ?? null;
      case "mark":
        return mark(this.store, operation.marks);
      case "finish":
        return finish(this.store, operation.message, operation.bounce);
      case "due":
        return this.due(operation);
      case "crashed":
        return this.crashed(operation.jobs, operation.now);
      case "forgetKey":
        this.store.deleteKey(operation.key, operation.uid);
        return null;
      case "forgetKeysOf":
        for (const delivery of operation.deliveries) this.store.deleteKeysOf(delivery);
        return null;
      case "sweepKeys":
        return this.store.sweepKeys(operation.before);
      case "route":
        this.context = this.contextFor(new Router(operation.tables));
        return null;
      default:
        return operation satisfies never;
    }
  }

  private due(o: WriteOperation & { kind: "due" }): number {
    return this.store.makeDue(o.site, o.class, o.after, o.at, o.limit);
  }

  private crashed(jobs: readonly number[], now: number): CrashedJob[] {
    const again: CrashedJob[] = [];
    for (const id of jobs) {
      const job = this.store.crashed(id);
      if (!job) continue;
      if (job.crashes > 1) again.push(job);
      this.store.later(id, now + crashBackoff(job.crashes));
    }
    return again;
  }

  private reached(batch: readonly WriteOperation[], side: "before" | "after"): void {
    for (const operation of batch) {
      const { kind } = operation;
      if (kind === "accept" && operation.slice) {
        this.failpoint.hit(`expand-${side}-commit` satisfies FailpointName);
      }
      if (kind === "accept" || kind === "expand" || kind === "mark" || kind === "finish") {
        this.failpoint.hit(`${kind}-${side}-commit` satisfies FailpointName);
      }
    }
  }

  /** Files of rows that are gone. A crash before this leaves orphans for the sweep. */
  private removeSpills(batch: readonly WriteOperation[], answers: readonly WriteAnswer[]): void {
    batch.forEach((operation, at) => {
      const answer = answers[at];
      if (!answer?.ok) return;
      if (operation.kind === "expand") {
        const expansion = answer.value as WriteResults["expand"];
        if (!expansion) return;
        const { finished, envelopeSpilled, message, end } = expansion;
        if (finished && envelopeSpilled) this.remove(`${message.id}.envelope`);
        if (end?.end === "gone" && end.spilled) this.remove(String(end.message));
      } else if (operation.kind === "mark") {
        for (const end of answer.value as WriteResults["mark"]) {
          if (end.end === "gone" && end.spilled) this.remove(String(end.message));
        }
      } else if (operation.kind === "finish") {
        const end = answer.value as WriteResults["finish"];
        if (end.spilled) this.remove(String(end.message));
      }
    });
  }

  private remove(name: string): void {
    this.failpoint.hit("spill-before-unlink");
    try {
      rmSync(join(this.mess, name), { force: true });
    } catch {
      // The commit stands, whatever becomes of the file: the sweep removes it, or says why it cannot.
    }
  }
}
