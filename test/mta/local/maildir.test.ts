import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { TemporaryError } from "../../../src/lib/errors.ts";
import { bufferInput } from "../../../src/lib/message-input.ts";
import { DiskPace } from "../../../src/mta/local/disk-pace.ts";
import { MaildirWriter } from "../../../src/mta/local/maildir.ts";
import { MaildirNames } from "../../../src/mta/local/maildir-names.ts";

let dir: string;
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), "maildir-"));
});
afterEach(() => rmSync(dir, { recursive: true, force: true }));

function makeMaildir(name: string): string {
  const path = join(dir, name);
  for (const part of ["tmp", "new", "cur"]) mkdirSync(join(path, part), { recursive: true });
  return path;
}

const writer = (names = new MaildirNames(7, "host.example")): MaildirWriter =>
  new MaildirWriter(names, () => new Date());
const lead = Buffer.from("Return-Path: <>\n");
const contents = (path: string): string[] =>
  readdirSync(join(path, "new"))
    .map((name) => readFileSync(join(path, "new", name), "latin1"))
    .sort();

test.each([30, 2])(
  "deliveries of one turn all arrive, and what fails fails alone, %i that succeed",
  async (count) => {
    const good = makeMaildir("good");
    const other = makeMaildir("other");
    const broken = makeMaildir("broken");
    rmSync(join(broken, "new"), { recursive: true });
    writeFileSync(join(dir, "file"), "");
    const maildirs = writer();
    const deliver = (path: string, text: string) =>
      maildirs.deliver(path, lead, bufferInput(text)).then(
        () => "delivered",
        (error: unknown) => (error instanceof TemporaryError ? error.message : error),
      );
    const many = Array.from({ length: count }, (_, n) => `message ${String(n).padStart(2, "0")}\n`);
    const [missing, file, half, one, ...all] = await Promise.all([
      deliver(join(dir, "missing"), "x\n"),
      deliver(join(dir, "file"), "x\n"),
      deliver(broken, "x\n"),
      deliver(other, "other\n"),
      ...many.map((text) => deliver(good, text)),
    ]);
    expect(missing).toBe("Unable to chdir to maildir. (#4.2.1)");
    expect(file).toBe("Unable to chdir to maildir. (#4.2.1)");
    expect(half).toBe("Temporary error on maildir delivery. (#4.3.0)");
    expect(one).toBe("delivered");
    expect(new Set(all)).toEqual(new Set(["delivered"]));
    expect(contents(good)).toEqual(many.map((text) => `${lead}${text}`));
    expect(contents(other)).toEqual([`${lead}other\n`]);
    for (const path of [good, other, broken]) expect(readdirSync(join(path, "tmp"))).toEqual([]);
  },
);

test("another process with the same host name and pid makes other file names", () => {
  const now = new Date();
  const names = [1, 2].map(() => new MaildirNames(7, "host.example").next(now));
  expect(new Set(names).size).toBe(2);
});

test("DiskPace waits for a few quick fsyncs, not for many, nor on a slow disk until it had a rest", () => {
  const pace = new DiskPace();
  const wait = (ms: number) => Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ms);
  expect(pace.isQuick(24)).toBe(true);
  expect(pace.isQuick(25)).toBe(false);
  expect(pace.measure(() => wait(200))).toBe("timed-out");
  expect(pace.isQuick(1)).toBe(false);
  let turns = 0;
  while (turns < 1000 && !pace.isQuick(1)) {
    pace.rest();
    turns++;
  }
  expect(pace.isQuick(1)).toBe(true);
  expect(pace.isQuick(24)).toBe(false);
});
