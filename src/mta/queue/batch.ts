/**
 * Batches on their way to the writer thread. Messages that are accepted travel as frames in one
 * buffer that is handed over, not copied: cloning them as objects, with a buffer for each body, was a
 * fifth of the cost of taking a small mail in. Marks go as posted-marks.ts says; other operations are few and go
 * as they are.
 */
import { type Frame, FrameReader, FrameWriter } from "../../lib/frame.ts";
import {
  type PostedEnds,
  type PostedMarks,
  packEnds,
  packMarks,
  unpackEnds,
  unpackMarks,
} from "./posted-marks.ts";
import { isWhole } from "./states.ts";
import type {
  Accepted,
  MessageClass,
  MessageEnd,
  NewJob,
  NewMessage,
  WriteAnswer,
  WriteOperation,
} from "./work.ts";

/** What is posted. `others` has null where the next message of `accepts` stands. */
export interface PostedBatch {
  readonly accepts: Uint8Array<ArrayBuffer>;
  readonly others: readonly (Exclude<WriteOperation, { kind: "mark" }> | PostedMarks | null)[];
}

/** The answers. `others` has null where the next three numbers of `accepted` stand: id, repeat, first job. */
export interface PostedAnswers {
  readonly accepted: readonly number[];
  readonly others: readonly (WriteAnswer | { readonly ends: PostedEnds } | null)[];
  /** That of `accepts`, for the next batch. */
  readonly buffer: ArrayBuffer;
}

/** A buffer that became larger is not kept. */
export const SPARE_BYTES = 1 << 20;

type Accept = WriteOperation & { kind: "accept" };

function writeAccept(out: FrameWriter, { message: m, slice }: Accept): void {
  out
    .begin(0)
    .u53(m.id)
    .u8(m.class)
    .u53(m.born)
    .u32(m.uid)
    .text(m.sender)
    .text(m.key)
    .text(m.prefix);
  out.u53(m.sizeBytes).u8(m.bodyType).u53(m.envelopeBytes);
  out.optionalBytes(m.hash);
  out.optionalBytes(m.body);
  // When all recipients are in jobs, the envelope only must not look spilled.
  out.optionalBytes(m.envelope && slice && isWhole(m, slice) ? NOTHING : m.envelope);
  out.u32(slice ? slice.jobs.length + 1 : 0).u53(slice?.cursor ?? 0);
  for (const job of slice?.jobs ?? []) {
    out.text(job.site).u32(job.count);
    out.optionalBytes(job.ordinals);
    out.bytes(job.packed);
  }
  out.end();
}

const NOTHING = new Uint8Array(0);

function readAccept(f: Frame): Accept {
  const message: NewMessage = {
    id: f.u53(),
    class: f.u8() as MessageClass,
    born: f.u53(),
    uid: f.u32(),
    sender: f.text(),
    key: f.text(),
    prefix: f.text(),
    sizeBytes: f.u53(),
    bodyType: f.u8(),
    envelopeBytes: f.u53(),
    hash: f.optionalBytes(),
    body: f.optionalBytes(),
    envelope: f.optionalBytes(),
  };
  const count = f.u32();
  const cursor = f.u53();
  if (count === 0) return { kind: "accept", message, slice: null };
  const jobs: NewJob[] = [];
  for (let left = count - 1; left > 0; left--) {
    jobs.push({
      message: message.id,
      class: message.class,
      nextAt: message.born,
      site: f.text(),
      count: f.u32(),
      ordinals: f.optionalBytes(),
      packed: f.bytes(),
    });
  }
  return { kind: "accept", message, slice: { jobs, cursor } };
}

/** The bytes of `accepts` are to be transferred; `spare` is a buffer that came back with answers. */
export function packBatch(operations: readonly WriteOperation[], spare?: ArrayBuffer): PostedBatch {
  let sizeBytes = 0;
  for (const one of operations) {
    if (one.kind === "accept") sizeBytes += 1024 + (one.message.body?.length ?? 0);
  }
  const fits = sizeBytes > 0 && spare && spare.byteLength >= sizeBytes;
  const room = fits ? spare : new ArrayBuffer(sizeBytes * 2);
  const out = new FrameWriter(Buffer.from(room));
  const others = operations.map((one) => {
    if (one.kind === "mark") return packMarks(one.marks);
    if (one.kind !== "accept") return one;
    writeAccept(out, one);
    return null;
  });
  return { accepts: out.take() as Uint8Array<ArrayBuffer>, others };
}

export function unpackBatch({ accepts, others }: PostedBatch): WriteOperation[] {
  const bytes = Buffer.from(accepts.buffer, accepts.byteOffset, accepts.byteLength);
  const accepted: Accept[] = [];
  new FrameReader(bytes.length).push(bytes, (frame) => accepted.push(readAccept(frame)));
  let next = 0;
  return others.map((one) => {
    if (one?.kind === "mark") return { kind: "mark", marks: unpackMarks(one) };
    return one ?? (accepted[next++] as Accept);
  });
}

export function packAnswers(
  operations: readonly WriteOperation[],
  answers: readonly WriteAnswer[],
  { buffer }: Uint8Array<ArrayBuffer>,
): PostedAnswers {
  const accepted: number[] = [];
  const others = answers.map((answer, at) => {
    const kind = answer.ok ? operations[at]?.kind : undefined;
    if (answer.ok && kind === "mark") return { ends: packEnds(answer.value as MessageEnd[]) };
    if (!answer.ok || kind !== "accept") return answer;
    const { id, repeat, firstJob } = answer.value as Accepted;
    accepted.push(id, repeat ? 1 : 0, firstJob);
    return null;
  });
  return { accepted, others, buffer };
}

export function unpackAnswers({ accepted, others }: PostedAnswers): WriteAnswer[] {
  let at = 0;
  return others.map((answer) => {
    if (answer && "ends" in answer) return { ok: true, value: unpackEnds(answer.ends) };
    if (answer) return answer;
    const value: Accepted = {
      id: accepted[at] as number,
      repeat: accepted[at + 1] === 1,
      firstJob: accepted[at + 2] as number,
    };
    at += 3;
    return { ok: true, value };
  });
}
