/** The envelope on descriptor 1 of qmail-queue: `F<sender>NUL`, `T<recipient>NUL` …, one NUL more. */
import type { Submission } from "../../lib/queue-door.ts";

/** Longest record read; whatever is longer than an address may be is cut there and refused later. */
const recordLimit = 4096;

/** Hands sender and recipients on as they come; answers why the envelope is unusable. */
export async function readEnvelope(
  input: AsyncIterable<Buffer>,
  submission: Pick<Submission, "from" | "to">,
): Promise<"format" | "ended early" | undefined> {
  let record: Buffer[] = [];
  let size = 0;
  let sender = false;
  for await (const chunk of input) {
    for (let at = 0; at < chunk.length; ) {
      const nul = chunk.indexOf(0, at);
      const end = nul < 0 ? chunk.length : nul;
      if (size < recordLimit) record.push(Buffer.from(chunk.subarray(at, end)));
      size += end - at;
      at = end + 1;
      if (nul < 0) break;
      if (size === 0 && sender) return undefined;
      const text = Buffer.concat(record).toString("utf8");
      if (text[0] !== (sender ? "T" : "F")) return "format";
      if (sender) submission.to(text.slice(1));
      else submission.from(text.slice(1));
      sender = true;
      record = [];
      size = 0;
    }
  }
  return "ended early";
}
