/**
 * All SQL that changes the queue, prepared once. Runs in the writer thread only, inside the
 * transaction its caller opened; the arrows that call it are in states.ts.
 */
import type { Database } from "../../lib/sqlite.ts";
import type { CrashedJob, MessageRow, NewJob, NewMessage } from "./work.ts";

/** A message while it is being expanded or ended. */
export interface StoredMessage extends MessageRow {
  readonly state: number;
  readonly envelopeSpilled: number;
  readonly envelopeBytes: number;
  readonly cursor: number;
  readonly expanded: number;
  readonly jobs: number;
  readonly failures: number;
}

export class Store {
  private readonly db: Database;
  private readonly sql;

  constructor(db: Database) {
    this.db = db;
    const p = (text: string) => db.prepare(text);
    this.sql = {
      insertMessage: p(`INSERT INTO message (id, state, class, born, uid, sender, size, body_type,
        body_hash, spilled, envelope_spilled, envelope_bytes, prefix, cursor,
        expanded, jobs) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`),
      insertBody: p("INSERT INTO body (message, bytes) VALUES (?, ?)"),
      insertEnvelope: p("INSERT INTO envelope (message, packed) VALUES (?, ?)"),
      envelope: p("SELECT packed FROM envelope WHERE message = ?").pluck(),
      message:
        p(`SELECT id, state, class, born, uid, sender, size, body_type AS bodyType, spilled, prefix,
        envelope_spilled AS envelopeSpilled, envelope_bytes AS envelopeBytes, cursor, expanded,
        jobs, failures FROM message WHERE id = ?`),
      advance: p(`UPDATE message SET state = ?, class = ?, cursor = ?, expanded = ?, jobs = jobs + ?
        WHERE id = ?`),
      setState: p("UPDATE message SET state = ? WHERE id = ?"),
      settle: p(`UPDATE message SET jobs = jobs - ?, failures = failures + ? WHERE id = ?
        RETURNING jobs, failures, state, spilled`),
      deleteMessage: p("DELETE FROM message WHERE id = ?"),
      endMessage: p(`DELETE FROM message WHERE id = ? AND jobs = ? AND failures = 0 AND state = 2
        RETURNING spilled`).pluck(),
      deleteBody: p("DELETE FROM body WHERE message = ?"),
      deleteEnvelope: p("DELETE FROM envelope WHERE message = ?"),
      deleteFailures: p("DELETE FROM failure WHERE message = ?"),
      insertJob: p(`INSERT INTO job (message, site, class, next_at, count, ordinals, packed)
        VALUES (?, ?, ?, ?, ?, ?, ?)`),
      deleteJob: p("DELETE FROM job WHERE id = ?"),
      markJob: p("UPDATE job SET settled = ? WHERE id = ?"),
      crashed: p(`UPDATE job SET crashes = crashes + 1 WHERE id = ?
        RETURNING message, site, crashes`),
      later: p("UPDATE job SET next_at = ? WHERE id = ?"),
      retryJob: p(`UPDATE job SET settled = ?, next_at = ?, crashes = ?
        WHERE id = ?`),
      dueJobs: p(`UPDATE job SET next_at = ? WHERE id IN
        (SELECT id FROM job WHERE site = ? AND class = ? AND next_at > ? LIMIT ?)`),
      insertFailure: p("INSERT INTO failure (message, paragraph) VALUES (?, ?)"),
      findKey: p("SELECT message FROM submission WHERE key = ? AND uid = ?").pluck(),
      insertKey: p("INSERT INTO submission (key, uid, message, at) VALUES (?, ?, ?, ?)"),
      deleteKey: p("DELETE FROM submission WHERE key = ? AND uid = ?"),
      deleteKeys: p("DELETE FROM submission WHERE key >= ? AND key < ?"),
      sweepKeys: p("DELETE FROM submission WHERE at < ?"),
    };
  }

  begin(): void {
    this.db.exec("BEGIN IMMEDIATE");
  }

  commit(): void {
    this.db.exec("COMMIT");
  }

  rollback(): void {
    if (this.db.inTransaction) this.db.exec("ROLLBACK");
  }

  /** `at`: how far its expansion is. An envelope is kept only while it is needed. */
  insertMessage(
    m: NewMessage,
    at: { state: number; cursor: number; expanded: number; jobs: number },
  ): void {
    this.sql.insertMessage.run(
      m.id,
      at.state,
      m.class,
      m.born,
      m.uid,
      m.sender,
      m.sizeBytes,
      m.bodyType,
      m.hash,
      m.body === null ? 1 : 0,
      m.envelope === null ? 1 : 0,
      m.envelopeBytes,
      m.prefix,
      at.cursor,
      at.expanded,
      at.jobs,
    );
    if (m.body !== null) this.sql.insertBody.run(m.id, m.body);
    const isNeeded = at.cursor < m.envelopeBytes;
    if (isNeeded && m.envelope !== null) this.sql.insertEnvelope.run(m.id, m.envelope);
  }

  message(id: number): StoredMessage | undefined {
    return this.sql.message.get(id) as StoredMessage | undefined;
  }

  envelope(id: number): Buffer | undefined {
    return this.sql.envelope.get(id) as Buffer | undefined;
  }

  insertJob(job: NewJob): number {
    const run = this.sql.insertJob.run(
      job.message,
      job.site,
      job.class,
      job.nextAt,
      job.count,
      job.ordinals,
      job.packed,
    );
    return Number(run.lastInsertRowid);
  }

  /** Record how far expansion came. */
  advance(
    id: number,
    to: { state: number; class: number; cursor: number; expanded: number; newJobs: number },
  ): void {
    this.sql.advance.run(to.state, to.class, to.cursor, to.expanded, to.newJobs, id);
  }

  setState(id: number, state: number): void {
    this.sql.setState.run(state, id);
  }

  deleteEnvelope(id: number): void {
    this.sql.deleteEnvelope.run(id);
  }

  /** Count jobs and failures off; what is left. undefined: no such message. */
  settle(
    id: number,
    jobs: number,
    failures: number,
  ): { jobs: number; failures: number; state: number; spilled: number } | undefined {
    return this.sql.settle.get(jobs, failures, id) as
      | { jobs: number; failures: number; state: number; spilled: number }
      | undefined;
  }

  /**
   * Delete an active message without failures whose last `jobs` jobs are done; whether its body is
   * spilled. undefined: something is left, or it failed.
   */
  endMessage(id: number, jobs: number): boolean | undefined {
    const spilled = this.sql.endMessage.get(id, jobs) as number | undefined;
    if (spilled === undefined) return undefined;
    this.sql.deleteBody.run(id);
    return spilled === 1;
  }

  deleteMessage(id: number): void {
    this.sql.deleteBody.run(id);
    this.sql.deleteEnvelope.run(id);
    this.sql.deleteFailures.run(id);
    this.sql.deleteMessage.run(id);
  }

  /** Whether it was still there. */
  deleteJob(id: number): boolean {
    return this.sql.deleteJob.run(id).changes > 0;
  }

  markJob(id: number, settled: Uint8Array): void {
    this.sql.markJob.run(settled, id);
  }

  retryJob(id: number, settled: Uint8Array, nextAt: number, crashes: number): void {
    this.sql.retryJob.run(settled, nextAt, crashes, id);
  }

  /** undefined: it is not there any more. */
  crashed(id: number): CrashedJob | undefined {
    return this.sql.crashed.get(id) as CrashedJob | undefined;
  }

  later(id: number, nextAt: number): void {
    this.sql.later.run(nextAt, id);
  }

  /** Of the jobs later than `after` up to `limit` become due at `at`. */
  makeDue(site: string, cls: number, after: number, at: number, limit: number): number {
    return this.sql.dueJobs.run(at, site, cls, after, limit).changes;
  }

  insertFailure(message: number, paragraph: string): void {
    this.sql.insertFailure.run(message, paragraph);
  }

  findKey(key: string, uid: number): number | undefined {
    return this.sql.findKey.get(key, uid) as number | undefined;
  }

  insertKey(key: string, uid: number, message: number, at: number): void {
    this.sql.insertKey.run(key, uid, message, at);
  }

  deleteKey(key: string, uid: number): void {
    this.sql.deleteKey.run(key, uid);
  }

  /** All submission keys of one delivery: `<deliveryKey>/…`; `0` is the character after `/`. */
  deleteKeysOf(deliveryKey: string): void {
    this.sql.deleteKeys.run(`${deliveryKey}/`, `${deliveryKey}0`);
  }

  sweepKeys(before: number): number {
    return this.sql.sweepKeys.run(before).changes;
  }
}
