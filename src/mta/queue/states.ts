/**
 * The states of a message and the only code that moves it between them.
 *
 * | state     | what is true                                             | arrow out                              | a crash on the arrow leaves |
 * |-----------|----------------------------------------------------------|----------------------------------------|-----------------------------|
 * | receiving | frames arrive; large bodies in a spill nobody refers to  | accept() -> todo, or active with its only slice | nothing: the spill is swept |
 * | todo      | body and envelope committed, the sender was told yes     | expand(), 1,000 recipients per slice, each deliverable at once; the last one -> active | expansion goes on at the cursor |
 * | active    | jobs with their next attempt, recipients settled or not  | mark(), batch after batch; the last one -> bouncing or gone | what was out may be delivered again: the only source of duplicates |
 * | bouncing  | all settled, failures noted                              | finish() with the bounce, in one transaction -> gone | bouncing again |
 * | gone      | no row is left                                           |                                        | a spill without row, swept  |
 *
 * Every arrow runs in the writer thread inside one transaction; whoever waits for it is answered
 * after the commit. A message that is still todo may lose its last job; it ends when its expansion
 * ends. No SQL here, it is in store.ts.
 */
import type { Router } from "../send/route.ts";
import { unpackAddresses } from "./packed.ts";
import { planJobs } from "./plan.ts";
import type { Store, StoredMessage } from "./store.ts";
import type {
  Accepted,
  Expansion,
  FirstSlice,
  JobRow,
  Mark,
  MessageClass,
  MessageEnd,
  MessageRow,
  NewJob,
  NewMessage,
} from "./work.ts";

export const TODO = 1;
export const ACTIVE = 2;
export const BOUNCING = 3;

/** Most recipients expanded in one transaction. */
export const SLICE = 1000;
/** Above this a message is bulk whatever its sender said: small mail must not wait behind it. */
export const BULK_RECIPIENTS = 200;

/**
 * receiving -> todo with the jobs of `slice`, or -> active when those are all. A known key is answered
 * with the message it first stood for.
 */
export function accept(
  store: Store,
  message: NewMessage,
  slice: FirstSlice | null = null,
): Accepted {
  if (message.key !== "") {
    const first = store.findKey(message.key, message.uid);
    if (first !== undefined) return { id: first, repeat: true, firstJob: 0 };
    store.insertKey(message.key, message.uid, message.id, message.born);
  }
  if (!slice) {
    store.insertMessage(message, { state: TODO, cursor: 0, expanded: 0, jobs: 0 });
    return { id: message.id, repeat: false, firstJob: 0 };
  }
  const { jobs, cursor } = slice;
  let expanded = 0;
  for (const job of jobs) expanded += job.count;
  const state = isWhole(message, slice) ? ACTIVE : TODO;
  store.insertMessage(message, { state, cursor, expanded, jobs: jobs.length });
  // One writer, and ids that only grow: within a transaction they follow one another.
  let firstJob = 0;
  for (const job of jobs) {
    const id = store.insertJob(job);
    firstJob ||= id;
  }
  return { id: message.id, repeat: false, firstJob };
}

/** Whether the slice leaves nothing to expand: then the envelope need not be kept. */
export function isWhole(message: NewMessage, slice: FirstSlice): boolean {
  return slice.cursor >= message.envelopeBytes;
}

/** What expand needs besides the store. */
export interface ExpandContext {
  readonly router: Router;
  /** Envelope bytes of a spilled envelope from `offset`, as many as one read gives. */
  readSpilled(message: number, offset: number): Buffer;
}

/** todo -> todo or active: the next slice of recipients becomes jobs. undefined: not in todo. */
export function expand(store: Store, id: number, context: ExpandContext): Expansion | undefined {
  const message = store.message(id);
  if (!message || message.state !== TODO) return undefined;
  const spilled = message.envelopeSpilled === 1;
  const bytes = spilled
    ? context.readSpilled(id, message.cursor)
    : (store.envelope(id) ?? Buffer.alloc(0));
  const base = spilled ? 0 : message.cursor;
  const { addresses, end } = unpackAddresses(bytes, base, SLICE);
  const cursor = message.cursor + (end - base);
  const finished = addresses.length === 0 || cursor >= message.envelopeBytes;
  const cls = classOf(message);
  const planned = planJobs({ ...message, class: cls }, addresses, message.expanded, context.router);
  const jobs = planned.map((job) => newRow(job, store.insertJob(job)));
  store.advance(id, {
    state: finished ? ACTIVE : TODO,
    class: cls,
    cursor,
    expanded: message.expanded + addresses.length,
    newJobs: jobs.length,
  });
  if (finished) store.deleteEnvelope(id);
  const left = message.jobs + jobs.length;
  return {
    begun: message.cursor === 0,
    message: toRow(message, cls),
    jobs,
    finished,
    envelopeSpilled: spilled,
    end:
      finished && left === 0 ? endMessage(store, id, message.failures, message.spilled) : undefined,
  };
}

/** A job that was just inserted, as it stands in the database. */
export function newRow(job: NewJob, id: number): JobRow {
  const { message, site, class: cls, nextAt, count, ordinals, packed } = job;
  return {
    id,
    message,
    site,
    class: cls,
    nextAt,
    crashes: 0,
    count,
    settled: null,
    ordinals,
    packed,
  };
}

/** Envelope length decides: an address is rarely under 20 bytes. */
export function classOf(message: {
  readonly class: MessageClass;
  readonly envelopeBytes: number;
}): MessageClass {
  const many = message.class < 2 && message.envelopeBytes > BULK_RECIPIENTS * 20;
  return many ? 2 : message.class;
}

function toRow(message: StoredMessage, cls: MessageClass): MessageRow {
  const { id, born, uid, sender, size, bodyType, spilled, prefix } = message;
  return { id, class: cls, born, uid, sender, size, bodyType, spilled, prefix };
}

/** active -> active, bouncing or gone: results of deliveries. Answers the messages that ended. */
export function mark(store: Store, marks: readonly Mark[]): MessageEnd[] {
  const counts = new Map<number, { jobs: number; failures: number }>();
  for (const m of marks) {
    let count = counts.get(m.message);
    if (!count) {
      count = { jobs: 0, failures: 0 };
      counts.set(m.message, count);
    }
    if (m.settled === null) {
      if (!store.deleteJob(m.job)) continue;
      count.jobs++;
    } else if (m.retryAt !== null) store.retryJob(m.job, m.settled, m.retryAt, m.crashes);
    else store.markJob(m.job, m.settled);
    for (const paragraph of m.failures) store.insertFailure(m.message, paragraph);
    count.failures += m.failures.length;
  }
  const ends: MessageEnd[] = [];
  for (const [id, count] of counts) {
    if (count.jobs === 0 && count.failures === 0) continue;
    // Most mail has one job and it succeeds: then this is the end of it, in two statements.
    const spilled = count.failures === 0 ? store.endMessage(id, count.jobs) : undefined;
    if (spilled !== undefined) {
      ends.push({ message: id, spilled, end: "gone" });
      continue;
    }
    const left = store.settle(id, count.jobs, count.failures);
    if (left && left.jobs === 0 && left.state === ACTIVE) {
      ends.push(endMessage(store, id, left.failures, left.spilled));
    }
  }
  return ends;
}

/** The last recipient is settled. */
function endMessage(store: Store, id: number, failures: number, spilled: number): MessageEnd {
  if (failures > 0) store.setState(id, BOUNCING);
  else store.deleteMessage(id);
  return { message: id, spilled: spilled === 1, end: failures > 0 ? "bounce" : "gone" };
}

/** bouncing -> gone, the bounce (if one is due) accepted in the same transaction. */
export function finish(store: Store, id: number, bounce: NewMessage | null): MessageEnd {
  const message = store.message(id);
  if (message && bounce) accept(store, bounce);
  store.deleteMessage(id);
  return { message: id, spilled: message?.spilled === 1, end: "gone" };
}
