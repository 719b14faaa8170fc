/**
 * Marks and what they end, as they are posted to the writer thread and back. Nearly all say the same: the job is
 * done, nobody failed, and its message is gone. Cloned as objects, with the names of their fields each time,
 * they cost more than the rest of a small job's way; so these are a few numbers in a row.
 */
import type { Mark, MessageEnd } from "./work.ts";

/** `others` has null where the next two of `done` stand: job, message. */
export interface PostedMarks {
  readonly kind: "mark";
  readonly done: readonly number[];
  readonly others: readonly (Mark | null)[];
}

/** A number is a message that is gone and was not spilled. */
export type PostedEnds = readonly (MessageEnd | number)[];

function isDone({ settled, retryAt, crashes, failures }: Mark): boolean {
  return settled === null && retryAt === null && crashes === 0 && failures.length === 0;
}

export function packMarks(marks: readonly Mark[]): PostedMarks {
  const done: number[] = [];
  const others = marks.map((mark) => {
    if (!isDone(mark)) return mark;
    done.push(mark.job, mark.message);
    return null;
  });
  return { kind: "mark", done, others };
}

export function unpackMarks({ done, others }: PostedMarks): Mark[] {
  let at = 0;
  return others.map((mark) => {
    if (mark) return mark;
    const plain: Mark = {
      job: done[at] as number,
      message: done[at + 1] as number,
      settled: null,
      retryAt: null,
      crashes: 0,
      failures: [],
    };
    at += 2;
    return plain;
  });
}

export function packEnds(ends: readonly MessageEnd[]): PostedEnds {
  return ends.map((one) => (one.end === "gone" && !one.spilled ? one.message : one));
}

export function unpackEnds(ends: PostedEnds): MessageEnd[] {
  return ends.map((one) =>
    typeof one === "number" ? { message: one, spilled: false, end: "gone" } : one,
  );
}
