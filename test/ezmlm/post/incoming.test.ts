import { Readable } from "node:stream";
import { expect, test } from "vitest";
import { readIncoming } from "../../../src/ezmlm/post/incoming.ts";
import { bufferInput, streamInput } from "../../../src/lib/message-input.ts";

const text = async (chunks: AsyncIterable<Buffer>): Promise<string> => {
  const parts: Buffer[] = [];
  for await (const chunk of chunks) parts.push(chunk);
  return Buffer.concat(parts).toString();
};

const header = Array.from({ length: 100 }, (_, n) => `Field-${n}: value\n`).join("");
const message = Buffer.from(`${header}\nbody\n`);

test("readIncoming() refuses a header above the limit wherever the limit falls", async () => {
  for (let limit = 1; limit < header.length; limit++) {
    await expect(readIncoming(bufferInput(message), limit), String(limit)).rejects.toThrow(
      "(#5.3.4)",
    );
  }
  const { fields } = await readIncoming(bufferInput(message), header.length + 1);
  expect(fields).toHaveLength(100);
});

test("readIncoming() does the same for a pipe that comes in pieces", async () => {
  const pieces = (): Readable => Readable.from([message.subarray(0, 700), message.subarray(700)]);
  await expect(readIncoming(streamInput(pieces()), 300)).rejects.toThrow("(#5.3.4)");
  const { fields, body } = await readIncoming(streamInput(pieces()));
  expect(fields).toHaveLength(100);
  expect(await text(body())).toBe("body\n");
});
