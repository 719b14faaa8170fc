import { closeSync, mkdtempSync, openSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { descriptorInput, readAll } from "../../src/lib/message-input.ts";

test("descriptorInput() survives a reader that stops early", async () => {
  const dir = mkdtempSync(join(tmpdir(), "descriptor-"));
  const path = join(dir, "message");
  writeFileSync(path, Buffer.alloc(300_000, "x"));
  const fd = openSync(path, "r");
  const input = descriptorInput(fd);
  for await (const chunk of input.chunks()) {
    expect(chunk.length).toBeGreaterThan(0);
    break;
  }
  expect((await readAll(input)).length).toBe(300_000);
  closeSync(fd);
  rmSync(dir, { recursive: true });
});
