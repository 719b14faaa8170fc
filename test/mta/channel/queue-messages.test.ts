import fc from "fast-check";
import { expect, test } from "vitest";
import { FrameError, FrameReader, FrameWriter } from "../../../src/lib/frame.ts";
import { FRAME_LIMIT, type Report } from "../../../src/mta/channel/protocol.ts";
import {
  type QueueMessage,
  readQueue,
  writeQueue,
} from "../../../src/mta/channel/queue-messages.ts";

function read(bytes: Buffer): QueueMessage {
  const messages: QueueMessage[] = [];
  new FrameReader(FRAME_LIMIT).push(bytes, (frame) => messages.push(readQueue(frame)));
  if (!messages[0]) throw new Error("no frame");
  return messages[0];
}

test("reports arrive as they were sent, also those that share a text", () => {
  const report = fc.record({
    delivery: fc.nat(),
    verdict: fc.constantFrom("K" as const, "Z" as const, "D" as const),
    text: fc.constantFrom("", "ok\n", "Remote host said: 550 é\n", "ok"),
  });
  fc.assert(
    fc.property(fc.array(report), (reports: Report[]) => {
      const out = new FrameWriter();
      writeQueue(out, { type: "reports", reports });
      expect(read(out.take())).toEqual({ type: "reports", reports });
    }),
  );
});

test("a report that shares the text of none is refused", () => {
  const out = new FrameWriter();
  out.begin(9).u32(1).u53(1).u8("k".charCodeAt(0)).end();
  expect(() => read(out.take())).toThrow(FrameError);
});
