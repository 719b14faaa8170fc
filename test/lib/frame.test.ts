import fc from "fast-check";
import { expect, test } from "vitest";
import { Frame, FrameError, FrameReader, FrameWriter } from "../../src/lib/frame.ts";

test("what is written is read again, however the stream is cut", () => {
  fc.assert(
    fc.property(
      fc.array(
        fc.tuple(fc.nat(255), fc.string({ unit: "grapheme" }), fc.uint8Array(), fc.maxSafeNat()),
        { maxLength: 8 },
      ),
      fc.array(fc.integer({ min: 1, max: 50 }), { minLength: 1 }),
      (messages, cuts) => {
        const out = new FrameWriter();
        for (const [type, text, bytes, number] of messages)
          out.begin(type).text(text).bytes(bytes).u53(number).end();
        const stream = out.take();
        const reader = new FrameReader(1 << 20);
        const read: [number, string, number[], number][] = [];
        for (let at = 0, turn = 0; at < stream.length; turn++) {
          const size = cuts[turn % cuts.length] ?? 1;
          reader.push(Buffer.from(stream.subarray(at, at + size)), (frame) => {
            read.push([frame.type, frame.text(), [...frame.bytes()], frame.u53()]);
            expect(frame.left).toBe(0);
          });
          at += size;
        }
        expect(read).toEqual(
          messages.map(([type, text, bytes, number]) => [type, text, [...bytes], number]),
        );
      },
    ),
  );
});

test("a frame above the limit is refused before its bytes arrive", () => {
  const head = Buffer.alloc(5);
  head.writeUInt32LE(1001, 0);
  expect(() => new FrameReader(1000).push(head, () => {})).toThrow(FrameError);
});

test("a frame that ends early, or a number beyond 2^53, is an error and no value", () => {
  expect(() => new Frame(1, Buffer.alloc(3)).u32()).toThrow(FrameError);
  const text = Buffer.alloc(6);
  text.writeUInt32LE(100, 0);
  expect(() => new Frame(1, text).text()).toThrow(FrameError);
  expect(() => new Frame(1, Buffer.alloc(8, 0xff)).u53()).toThrow(FrameError);
});
