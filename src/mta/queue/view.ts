/** All SQL that reads the queue, for the reader thread: pages, bodies, listings, checkpoints. */
import type { Database } from "../../lib/sqlite.ts";
import type {
  JobRow,
  LaneName,
  LaneTimes,
  MessageRow,
  ReadKind,
  ReadRequest,
  ReadResults,
} from "./work.ts";

const JOB = `id, message, site, class, next_at AS nextAt, crashes, count, settled, ordinals,
  packed`;
const MESSAGE = "id, class, born, uid, sender, size, body_type AS bodyType, spilled, prefix";

export class QueueView {
  private readonly db: Database;
  private readonly sql;

  constructor(db: Database) {
    this.db = db;
    const p = (text: string) => db.prepare(text);
    this.sql = {
      due: p(`SELECT ${JOB} FROM job WHERE site = ? AND class = ? AND next_at <= ?
        ORDER BY next_at, id LIMIT ?`),
      after: p(`SELECT next_at FROM job WHERE site = ? AND class = ? AND (next_at, id) > (?, ?)
        ORDER BY next_at, id LIMIT 1`).pluck(),
      nextLane: p(`SELECT site, class, next_at AS nextAt, (SELECT max(next_at) FROM job AS other
        WHERE other.site = job.site AND other.class = job.class) AS lastAt FROM job
        WHERE (site, class) > (?, ?) ORDER BY site, class, next_at LIMIT 1`),
      state: p(
        "SELECT id FROM message WHERE state = ? AND state <> 2 AND id > ? ORDER BY id LIMIT ?",
      ).pluck(),
      message: p(`SELECT ${MESSAGE} FROM message WHERE id = ?`),
      body: p("SELECT bytes FROM body WHERE message = ?").pluck(),
      failures: p(`SELECT id, paragraph FROM failure WHERE message = ? AND id > ?
        ORDER BY id LIMIT ?`),
      messages: p("SELECT count(*) FROM message").pluck(),
      todo: p("SELECT count(*) FROM message WHERE state = 1 AND state <> 2").pluck(),
      last: p("SELECT seq FROM sqlite_sequence WHERE name = 'message'").pluck(),
      list: p(`SELECT ${MESSAGE}, state, failures FROM message WHERE id > ? AND
        (state <> 1 OR expanded > 0) ORDER BY id LIMIT ?`),
      jobsOf: p(`SELECT ${JOB} FROM job WHERE message = ? AND id > ? ORDER BY id LIMIT ?`),
    };
  }

  answer(request: ReadRequest): ReadResults[ReadKind] {
    switch (request.kind) {
      case "claim":
        return this.claim(request);
      case "lanes":
        return this.lanes(request.after, request.limit);
      case "state":
        return this.sql.state.all(request.state, request.after, request.limit) as number[];
      case "messages":
        return this.messages(new Set(request.ids));
      case "body":
        return (this.sql.body.get(request.message) as Uint8Array | undefined) ?? null;
      case "failures":
        return this.sql.failures.all(
          request.message,
          request.after,
          request.limit,
        ) as ReadResults["failures"];
      case "counts":
        return {
          messages: this.sql.messages.get() as number,
          todo: this.sql.todo.get() as number,
          lastMessage: (this.sql.last.get() as number | undefined) ?? 0,
        };
      case "list":
        return this.sql.list.all(request.after, request.limit) as ReadResults["list"];
      case "jobsOf":
        return this.sql.jobsOf.all(
          request.message,
          request.after,
          request.limit,
        ) as ReadResults["jobsOf"];
      case "checkpoint":
        return this.checkpoint(request.restart);
      default:
        return request satisfies never;
    }
  }

  private claim(request: ReadRequest & { kind: "claim" }): ReadResults["claim"] {
    const messages = new Set<number>();
    const pages = request.lanes.map((lane) => {
      const jobs = this.sql.due.all(lane.site, lane.class, request.now, lane.limit) as JobRow[];
      for (const job of jobs) messages.add(job.message);
      const last = jobs.at(-1);
      const nextAt = this.sql.after.get(lane.site, lane.class, last?.nextAt ?? -1, last?.id ?? 0) as
        | number
        | undefined;
      return { site: lane.site, class: lane.class, jobs, nextAt: nextAt ?? null };
    });
    return { pages, messages: this.messages(messages) };
  }

  private messages(ids: ReadonlySet<number>): MessageRow[] {
    const rows: MessageRow[] = [];
    for (const id of ids) {
      const row = this.sql.message.get(id) as MessageRow | undefined;
      if (row) rows.push(row);
    }
    return rows;
  }

  /** Two index probes per lane, however many jobs each has. */
  private lanes(after: LaneName | null, limit: number): ReadResults["lanes"] {
    const found: LaneTimes[] = [];
    let at: { site: string; class: number } = after ?? { site: "", class: -1 };
    while (found.length < limit) {
      const row = this.sql.nextLane.get(at.site, at.class) as LaneTimes | undefined;
      if (!row) break;
      found.push(row);
      at = row;
    }
    return found;
  }

  private checkpoint(restart: boolean): ReadResults["checkpoint"] {
    const rows = this.db.pragma(`wal_checkpoint(${restart ? "RESTART" : "PASSIVE"})`) as {
      log: number;
    }[];
    return { walPages: rows[0]?.log ?? 0 };
  }
}
