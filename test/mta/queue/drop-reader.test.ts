/** The drop directory with everything a hostile user can put there. */
import { execFileSync } from "node:child_process";
import {
  linkSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  truncateSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { recipientMark } from "../../../src/lib/header-prefix.ts";
import { DropWriter } from "../../../src/mta/queue/drop-file.ts";
import { DropReader } from "../../../src/mta/queue/drop-reader.ts";
import { Failpoint } from "../../../src/mta/queue/failpoint.ts";
import { Intake } from "../../../src/mta/queue/intake.ts";
import type { NewMessage } from "../../../src/mta/queue/work.ts";

let home: string;
let drop: string;
let accepted: NewMessage[];
let removed: string[];
let kept: string[];
let reader: DropReader;

beforeEach(() => {
  home = mkdtempSync(join(tmpdir(), "drop-"));
  drop = join(home, "queue", "drop");
  for (const dir of [drop, join(home, "queue", "mess"), join(home, "queue", "lock")]) {
    mkdirSync(dir, { recursive: true });
  }
  accepted = [];
  removed = [];
  kept = [];
  const failpoint = new Failpoint(undefined, () => {});
  const queue = {
    accept: async (message: NewMessage) => {
      accepted.push(message);
      return { id: message.id, repeat: false };
    },
  } as unknown as ConstructorParameters<typeof Intake>[0]["queue"];
  const intake = new Intake({
    home,
    queue,
    failpoint,
    lastId: 0,
    now: () => new Date(),
    accepted: () => {},
    trouble: () => {},
    refusing: () => undefined,
    router: () => undefined,
  });
  reader = new DropReader({
    home,
    intake,
    failpoint,
    now: () => new Date(),
    phrase: (uid) => `by uid ${uid}`,
    forgetKey: async () => {},
    trouble: (kind, name) => kept.push(`${kind} ${name}`),
    removed: (name, _uid, why) => removed.push(`${name}: ${why}`),
  });
});
afterEach(() => rmSync(home, { recursive: true, force: true }));

test("a prefix comes through the drop directory with its message", async () => {
  const prefix = `X-For: ${recipientMark}\n`;
  const writer = new DropWriter({ home, pid: 42, key: "7.1/0/post", urgency: "bulk", prefix });
  writer.put("Subject: x\n\nhi\n");
  writer.from("a@b");
  writer.to("c@d");
  writer.commit();
  await reader.scan();
  expect(accepted[0]).toMatchObject({ prefix, key: "7.1/0/post", class: 2, sender: "a@b" });
  expect(removed).toEqual([]);
});

function write(body: string, from: string, to: string[], key = ""): string {
  const writer = new DropWriter({ home, pid: 42, key, urgency: to.length > 2 ? "bulk" : "reply" });
  writer.put(body);
  writer.from(from);
  for (const one of to) writer.to(one);
  writer.commit();
  return readdirSync(drop).findLast((name) => name.startsWith("m.42.")) as string;
}

test("scan() takes a dropped message whole, under the uid of its owner", async () => {
  write("Subject: x\n\nbody\n", "joe@x.test", ["ann@y.test", "bob@z.test"], "9.0/1/post");
  await reader.scan();
  expect(accepted).toHaveLength(1);
  const [message] = accepted;
  expect(message).toMatchObject({ sender: "joe@x.test", key: "9.0/1/post", uid: 0, class: 0 });
  expect(Buffer.from(message?.envelope ?? []).toString()).toBe("ann@y.test\0bob@z.test\0");
  expect(Buffer.from(message?.body ?? []).toString()).toMatch(
    /^Received: \(qmail 1 invoked by uid 0\); .*\nSubject: x\n\nbody\n$/,
  );
  expect(readdirSync(drop)).toEqual([]);
});

test("scan() spills a large body and a large envelope", async () => {
  const to = Array.from({ length: 20_000 }, (_, i) => `someone${i}@far.test`);
  write("x".repeat(300_000), "", to);
  await reader.scan();
  const [message] = accepted;
  expect(message).toMatchObject({ body: null, envelope: null, class: 2 });
  const envelope = readFileSync(join(home, "queue", "mess", `${message?.id}.envelope`), "utf8");
  expect(envelope.split("\0")).toEqual([...to, ""]);
});

test("scan() removes what is not a complete message of one user", async () => {
  const target = join(home, "precious");
  writeFileSync(target, "precious");
  symlinkSync(target, join(drop, "m.link"));
  execFileSync("mkfifo", [join(drop, "m.fifo")]);
  linkSync(target, join(drop, "m.linked"));
  writeFileSync(join(drop, "m.empty"), "");
  writeFileSync(join(drop, "m.junk"), "x".repeat(5000));
  writeFileSync(join(drop, "other\nname"), "");
  mkdirSync(join(drop, "m.dir"));
  const torn = join(drop, write("hello\n", "a@b", ["c@d"]));
  renameSync(torn, join(drop, "m.torn"));
  truncateSync(join(drop, "m.torn"), 30);
  await reader.scan();
  expect(accepted).toEqual([]);
  expect(readdirSync(drop)).toEqual([]);
  expect(readFileSync(target, "utf8")).toBe("precious");
  expect(removed.sort()).toEqual([
    "m.dir: not a regular file",
    "m.empty: not a complete message",
    "m.fifo: not a regular file",
    "m.junk: not a complete message",
    "m.link: symbolic link loop",
    "m.linked: more than one link",
    "m.torn: not a complete message",
    "other\nname: unknown name",
  ]);
});

test("scan() refuses addresses that are too long or not UTF-8", async () => {
  const name = write("x\n", "a@b", ["ok@h.test"]);
  write("x\n", "a@b", [`${"l".repeat(1000)}@h.test`]);
  const bytes = readFileSync(join(drop, name));
  bytes[bytes.indexOf("ok@h.test")] = 0xff;
  writeFileSync(join(drop, name), bytes);
  await reader.scan();
  expect(accepted).toEqual([]);
  expect(removed).toHaveLength(2);
});

test("sweep() leaves young tmp files alone and removes old ones, which scan() does not look at", async () => {
  writeFileSync(join(drop, "tmp.young"), "");
  writeFileSync(join(drop, "tmp.old"), "");
  mkdirSync(join(drop, "tmp.empty"));
  mkdirSync(join(drop, "tmp.full", "x"), { recursive: true });
  for (const name of ["old", "empty", "full"]) utimesSync(join(drop, `tmp.${name}`), 1000, 1000);
  await reader.scan();
  expect(readdirSync(drop)).toHaveLength(4);
  expect([...removed, ...kept]).toEqual([]);
  await reader.sweep();
  expect(readdirSync(drop).sort()).toEqual(["tmp.full", "tmp.young"]);
  expect(removed).toEqual(["tmp.empty: not a regular file"]);
  expect(kept).toEqual(["unable to remove drop file tmp.full"]);
});

test("DropWriter refuses a message that the reader would remove as too big", () => {
  const writer = new DropWriter({ home, pid: 42, limitBytes: 1000 });
  writer.put("x".repeat(2000));
  writer.from("");
  writer.to("a@b");
  expect(() => writer.commit()).toThrow(/too long/);
  writer.abort();
  expect(readdirSync(drop)).toEqual([]);
});

test("scan() finds mail behind directories that cannot be removed", async () => {
  for (let at = 0; at < 1100; at++) mkdirSync(join(drop, `m.${at}`, "full"), { recursive: true });
  write("x\n", "a@b", ["c@d"]);
  await reader.scan();
  expect(accepted).toHaveLength(1);
  expect(kept).toContain("unable to remove drop file m.7");
});
