/** What is posted to the writer thread is what it gets: every field, null kept apart from empty. */
import fc from "fast-check";
import { expect, test } from "vitest";
import {
  packAnswers,
  packBatch,
  unpackAnswers,
  unpackBatch,
} from "../../../src/mta/queue/batch.ts";
import { isWhole } from "../../../src/mta/queue/states.ts";
import type { MessageClass, WriteAnswer, WriteOperation } from "../../../src/mta/queue/work.ts";

const bytes = fc.option(fc.uint8Array({ maxLength: 6000 }));
const message = fc.record({
  id: fc.maxSafeNat(),
  class: fc.constantFrom<MessageClass>(0, 1, 2),
  born: fc.nat(),
  uid: fc.nat(),
  sender: fc.string({ unit: "grapheme" }),
  sizeBytes: fc.maxSafeNat(),
  bodyType: fc.nat(2),
  hash: fc.option(fc.uint8Array({ minLength: 32, maxLength: 32 })),
  body: bytes,
  envelope: bytes,
  envelopeBytes: fc.nat(),
  key: fc.string(),
  prefix: fc.string(),
});
const job = fc.record({
  site: fc.string(),
  count: fc.nat(200),
  ordinals: bytes,
  packed: fc.uint8Array(),
});
const count = fc.constantFrom(0, 0, 0, 3);
const mark = fc.record({
  job: fc.maxSafeNat(),
  message: fc.maxSafeNat(),
  settled: fc.option(fc.uint8Array({ maxLength: 25 }), { freq: 2 }),
  retryAt: fc.option(fc.nat(), { freq: 2 }),
  crashes: count,
  failures: fc.array(fc.string(), { maxLength: 1 }),
});
const end = fc.record({
  message: fc.maxSafeNat(),
  spilled: fc.boolean(),
  end: fc.constantFrom("gone" as const, "bounce" as const),
});
const operation: fc.Arbitrary<WriteOperation> = fc.oneof(
  fc
    .record({ message, jobs: fc.option(fc.array(job, { maxLength: 4 })), cursor: fc.nat() })
    .map(({ message: one, jobs, cursor }) => ({
      kind: "accept" as const,
      message: one,
      slice: jobs && {
        cursor,
        jobs: jobs.map((part) => ({
          ...part,
          message: one.id,
          class: one.class,
          nextAt: one.born,
        })),
      },
    })),
  fc.record({ kind: fc.constant("expand" as const), message: fc.nat() }),
  fc.record({ kind: fc.constant("mark" as const), marks: fc.array(mark, { maxLength: 5 }) }),
);

/** Buffer and Uint8Array alike; an envelope that is in jobs as a whole stays behind. */
function plain(operations: readonly WriteOperation[]): unknown {
  return operations.map((one) =>
    one.kind !== "accept"
      ? one
      : {
          ...one,
          message: {
            ...one.message,
            body: list(one.message.body),
            hash: list(one.message.hash),
            envelope:
              one.slice && isWhole(one.message, one.slice)
                ? one.message.envelope !== null
                : list(one.message.envelope),
          },
          slice: one.slice && {
            ...one.slice,
            jobs: one.slice.jobs.map((part) => ({
              ...part,
              packed: list(part.packed),
              ordinals: list(part.ordinals),
            })),
          },
        },
  );
}
const list = (some: Uint8Array | null) => some && [...some];

test("unpackBatch() gives what packBatch() took, in order", () => {
  fc.assert(
    fc.property(fc.array(operation, { maxLength: 6 }), (operations) => {
      const before = plain(operations);
      const posted = structuredClone(packBatch(operations));
      expect(plain(unpackBatch(posted))).toEqual(before);
    }),
    { numRuns: 200 },
  );
});

test("unpackAnswers() gives what packAnswers() took, also of a batch that failed in part", () => {
  const outcome = fc.option(
    fc.record({
      accepted: fc.record({ id: fc.nat(), repeat: fc.boolean(), firstJob: fc.nat() }),
      ends: fc.array(end, { maxLength: 4 }),
    }),
  );
  fc.assert(
    fc.property(fc.array(fc.tuple(operation, outcome), { maxLength: 6 }), (pairs) => {
      const operations = pairs.map(([one]) => one);
      const answers = pairs.map(([one, value]): WriteAnswer => {
        if (!value) return { ok: false, code: "SQLITE_FULL", text: "disk full" };
        if (one.kind === "mark") return { ok: true, value: value.ends };
        return { ok: true, value: one.kind === "accept" ? value.accepted : null };
      });
      const posted = packAnswers(operations, answers, packBatch(operations).accepts);
      expect(unpackAnswers(structuredClone(posted))).toEqual(answers);
    }),
  );
});
