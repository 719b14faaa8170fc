import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { afterEach, beforeEach, expect, test } from "vitest";
import { Cdb, CdbError, CdbWriter, cdbHash } from "../../src/lib/cdb.ts";

let dir: string;
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), "cdb-"));
});
afterEach(() => rmSync(dir, { recursive: true, force: true }));

test("cdbHash() is djb's hash", () => {
  expect(cdbHash(Buffer.alloc(0))).toBe(5381);
  expect(cdbHash(Buffer.from("one"))).toBe(193420161);
});

test("CdbWriter lays out the file as the format says", () => {
  const file = new CdbWriter().add("one", "Hello").bytes();
  // Header, one record of 8+3+5 bytes, one table of two slots.
  expect(file.length).toBe(2048 + 16 + 16);
  expect(file.subarray(2048, 2064).toString("latin1")).toBe("\x03\0\0\0\x05\0\0\0oneHello");
  const hash = cdbHash(Buffer.from("one"));
  expect(file.readUInt32LE((hash & 255) * 8)).toBe(2064);
  expect(file.readUInt32LE((hash & 255) * 8 + 4)).toBe(2);
  const slot = 2064 + ((hash >>> 8) % 2) * 8;
  expect(file.readUInt32LE(slot)).toBe(hash);
  expect(file.readUInt32LE(slot + 4)).toBe(2048);
});

test("Cdb finds what CdbWriter stored, for any keys, and nothing else", () => {
  fc.assert(
    fc.property(
      fc.array(fc.tuple(fc.string(), fc.string({ unit: "binary" })), { maxLength: 60 }),
      fc.string(),
      (records, stranger) => {
        const writer = new CdbWriter();
        for (const [key, data] of records) writer.add(key, data);
        const cdb = Cdb.of(writer.bytes());
        for (const [key] of records) {
          const expected = records.filter(([k]) => k === key).map(([, data]) => data);
          expect([...cdb.getAll(key)].map(String)).toEqual(
            expected.map((d) => `${Buffer.from(d)}`),
          );
        }
        if (!records.some(([key]) => key === stranger)) expect(cdb.get(stranger)).toBeUndefined();
      },
    ),
    { numRuns: 100 },
  );
});

test("replace() leaves only the finished file, readable from disk", () => {
  const path = join(dir, "cdb");
  writeFileSync(path, "old");
  const writer = new CdbWriter();
  for (let n = 0; n < 5000; n++) writer.add(`key ${n}`, `data ${n}`);
  writer.replace(path);
  expect(readdirSync(dir)).toEqual(["cdb"]);
  using cdb = Cdb.open(path);
  expect(cdb.get("key 4999")?.toString()).toBe("data 4999");
  expect(cdb.get("key 5000")).toBeUndefined();
});

test("a file cut short anywhere never gives a wrong answer", () => {
  const path = join(dir, "cdb");
  const writer = new CdbWriter();
  for (let n = 0; n < 20; n++) writer.add(`k${n}`, `data ${n}`);
  writer.replace(path);
  const whole = readFileSync(path);
  for (let size = 0; size < whole.length; size += 7) {
    const cut = Cdb.of(whole.subarray(0, size));
    for (let n = 0; n < 20; n++) {
      try {
        expect(cut.get(`k${n}`)?.toString()).toBe(`data ${n}`);
      } catch (error) {
        expect(error).toBeInstanceOf(CdbError);
      }
    }
  }
});
