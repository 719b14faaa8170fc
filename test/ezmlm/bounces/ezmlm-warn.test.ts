import { existsSync, readdirSync, utimesSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { PermanentError, TemporaryError } from "../../../src/lib/errors.ts";
import { type BareList, bareList } from "../../support/bare-list.ts";
import { RecorderQueue, ways } from "../../support/ezmlm.ts";
import { normalise } from "../../support/normalise.ts";

const start = new Date("2026-11-21T08:00:00Z");
const inDays = (days: number): Date => new Date(start.getTime() + days * 86_400_000);
const bounce = `From: MAILER-DAEMON@example.com
To: joe-list-return-1-joe=example.com@lists.example.org
Subject: failure notice

bounce body
second line
`;

async function joeList(files: Readonly<Record<string, string>> = {}): Promise<BareList> {
  return bareList(files, ["joe@example.com", "ann@example.net"]);
}

function comesBack(list: BareList, part: string, now: Date, args: readonly string[] = ["{DIR}"]) {
  return list.run("ezmlm-return", { args, env: { SENDER: "", DEFAULT: part }, stdin: bounce, now });
}

/** DEFAULT of a bounce of this mail. */
function bouncePart(sender: string, lead = "joe-list-return-"): string {
  expect(sender.startsWith(lead)).toBe(true);
  return sender.slice(lead.length, sender.lastIndexOf("@"));
}

/** Takes its time for each mail. */
class SlowQueue extends RecorderQueue {
  readonly first: Promise<void>;
  private begun = (): void => {};
  private readonly milliseconds: number;

  constructor(milliseconds: number) {
    super();
    this.milliseconds = milliseconds;
    this.first = new Promise((resolve) => {
      this.begun = resolve;
    });
  }

  override open(options: { key?: string } = {}) {
    const submission = super.open(options);
    const commit = async (): Promise<{ id: string }> => {
      this.begun();
      await new Promise((resolve) => setTimeout(resolve, this.milliseconds));
      return submission.commit();
    };
    return { ...submission, commit };
  }
}

function filesIn(list: BareList, name: string): string[] {
  const path = join(list.dir, name);
  if (!existsSync(path)) return [];
  return readdirSync(path, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => entry.name);
}

describe("a subscriber whose mail comes back (golden G6)", () => {
  test("bounce, warning, its bounce, probe, its bounce: off the list", async () => {
    const list = await joeList();
    for (const number of [1, 2]) {
      expect((await comesBack(list, `${number}-joe=example.com`, start)).code).toBe(99);
    }
    expect(list.read("bounce/h/n/hkdaabfigfiennhoddcc")).toBe("   1\n   2\n");

    expect((await list.run("ezmlm-warn", { now: inDays(9.9) })).mails).toEqual([]);
    expect(list.read("bounce/lasth")).toBe("a");
    const warned = await list.run("ezmlm-warn", { now: inDays(10.2) });
    expect([warned.code, warned.stderr]).toEqual([0, "ezmlm-warn: info: qp 1\n"]);
    const warning = warned.mails[0];
    expect(warning?.recipients).toEqual(["joe@example.com"]);
    expect(warning?.sender).toMatch(
      /^joe-list-return-warn-\d{10}\.[a-p]{20}-joe=example\.com@lists\.example\.org$/,
    );
    await expect(normalise(warning?.bytes.toString() ?? "")).toMatchFileSnapshot(
      "../../golden/bounces/warning.eml",
    );
    expect(filesIn(list, "bounce")).toEqual(["lastd", "lasth"]);

    const warnPart = bouncePart(warning?.sender ?? "");
    expect((await comesBack(list, warnPart, inDays(11))).code).toBe(99);
    expect(filesIn(list, "bounce/d").map((name) => name[0])).toEqual(["w"]);
    expect((await list.run("ezmlm-warn", { now: inDays(20.9) })).mails).toEqual([]);
    const probed = await list.run("ezmlm-warn", { now: inDays(21.2) });
    const probe = probed.mails[0];
    expect(probe?.recipients).toEqual(["joe@example.com"]);
    expect(probe?.sender).toMatch(/^joe-list-return-probe-\d{10}\.[a-p]{20}-joe=example\.com@/);
    await expect(normalise(probe?.bytes.toString() ?? "")).toMatchFileSnapshot(
      "../../golden/bounces/probe.eml",
    );

    const gone = await comesBack(list, bouncePart(probe?.sender ?? ""), inDays(22));
    expect([gone.code, gone.mails]).toEqual([99, []]);
    expect((await list.run("ezmlm-list")).stdout).toBe("ann@example.net\n");
    expect(list.read("Log").trimEnd().split("\n").at(-1)).toMatch(/^\d+ -probe joe@example\.com$/);
  });

  test("the digest has bounces, texts and addresses of its own", async () => {
    const list = await joeList({ "digest/lockbounce": "" });
    await list.subscribe("digest", "joe@example.com");
    await comesBack(list, "7-joe=example.com", start, ["-d", "{DIR}"]);
    expect(existsSync(join(list.dir, "bounce", "d"))).toBe(false);
    expect(
      (await list.run("ezmlm-warn", { args: ["-D", "{DIR}"], now: inDays(11) })).mails,
    ).toEqual([]);
    const ran = await list.run("ezmlm-warn", { args: ["-d", "{DIR}"], now: inDays(11) });
    const [warning] = ran.mails;
    expect(warning?.sender).toMatch(/^joe-list-digest-return-warn-/);
    expect(warning?.header).toContain("Subject: Warning from joe-list-digest@lists.example.org");
    expect(warning?.body).toContain("Digests did not reach you.");
    expect(warning?.body).toContain("\n   7\n");

    const part = bouncePart(warning?.sender ?? "", "joe-list-digest-return-");
    await comesBack(list, part, inDays(12), ["-d", "{DIR}"]);
    const [probe] = (await list.run("ezmlm-warn", { now: inDays(23) })).mails;
    expect(probe?.sender).toMatch(/^joe-list-digest-return-probe-/);
    const probePart = bouncePart(probe?.sender ?? "", "joe-list-digest-return-");
    await comesBack(list, probePart, inDays(24), ["-d", "{DIR}"]);
    const inDigest = await list.run("ezmlm-list", { args: ["{DIR}", "digest"] });
    const inMain = await list.run("ezmlm-list");
    expect([inDigest.stdout, inMain.stdout]).toEqual(["", "ann@example.net\njoe@example.com\n"]);
  });

  test.each(ways)("ezmlm-return and ezmlm-warn agree, %s", async (_way, run) => {
    const list = await joeList();
    const env = { SENDER: "", DEFAULT: "1-joe=example.com" };
    const returned = await run("ezmlm-return", { args: [list.dir], env, stdin: bounce });
    expect([returned.code, returned.stdout, returned.stderr]).toEqual([99, "", ""]);
    const ran = await run("ezmlm-warn", { args: ["-t0", list.dir] });
    expect([ran.code, ran.stdout]).toEqual([0, ""]);
    expect(ran.stderr).toMatch(/^ezmlm-warn: info: qp \S+\n$/);
    await expect(normalise(ran.mails[0]?.bytes.toString() ?? "")).toMatchFileSnapshot(
      "../../golden/bounces/warning-first.eml",
    );
    expect(ran.mails[0]?.recipients).toEqual(["joe@example.com"]);
    const again = await run("ezmlm-warn", { args: ["-t0", list.dir] });
    expect([again.code, again.mails]).toEqual([0, []]);
    const wrong = await run("ezmlm-warn", { args: ["-x", list.dir] });
    expect(wrong.code).toBe(100);
    expect(wrong.stderr).toContain(
      "ezmlm-warn: usage: ezmlm-warn [-dDvV] [-l seconds] [-t days] DIR",
    );
  });
});

describe("ezmlm-warn, when it acts", () => {
  test("not again until a fiftieth of the timeout has passed", async () => {
    const list = await joeList();
    await list.run("ezmlm-warn", { now: start });
    await comesBack(list, "1-joe=example.com", inDays(-15));
    const soon = new Date(start.getTime() + 17_279_000);
    expect((await list.run("ezmlm-warn", { now: soon })).mails).toEqual([]);
    const later = new Date(start.getTime() + 17_280_000);
    expect((await list.run("ezmlm-warn", { now: later })).mails).toHaveLength(1);
  });

  test("-l sets that time, and a clock that was set back does not lock out", async () => {
    const list = await joeList();
    await list.run("ezmlm-warn", { now: start });
    await comesBack(list, "1-joe=example.com", inDays(-15));
    const soon = new Date(start.getTime() + 60_000);
    const locked = await list.run("ezmlm-warn", { args: ["-l", "61", "{DIR}"], now: soon });
    expect(locked.mails).toEqual([]);
    expect((await list.run("ezmlm-warn", { now: inDays(-1) })).mails).toHaveLength(1);
  });

  test("a second run that waited for the lock does nothing", async () => {
    const list = await joeList();
    await comesBack(list, "1-joe=example.com", start);
    const queue = new RecorderQueue();
    const runs = [1, 2, 3].map(() => list.run("ezmlm-warn", { now: inDays(11), queue }));
    expect((await Promise.all(runs)).map((ran) => ran.code)).toEqual([0, 0, 0]);
    expect(queue.mails).toHaveLength(1);
  });

  test("nowarn: never, and the bounces stay", async () => {
    const list = await joeList({ nowarn: "" });
    await comesBack(list, "1-joe=example.com", start);
    const ran = await list.run("ezmlm-warn", { now: inDays(11) });
    expect([ran.code, ran.mails, filesIn(list, "bounce/d").length]).toEqual([0, [], 1]);
  });

  test("a list without a directory `digest` gets none", async () => {
    const list = await joeList();
    expect((await list.run("ezmlm-warn")).code).toBe(0);
    expect((await list.run("ezmlm-warn", { args: ["-d", "{DIR}"] })).code).toBe(0);
    expect(list.has("digest")).toBe(false);
  });

  test.each(["-t", "-l"])("%s wants a number", async (letter) => {
    const list = await joeList();
    expect((await list.run("ezmlm-warn", { args: [letter, "1e9", "{DIR}"] })).code).toBe(100);
  });

  test("a directory that is no list is 100, none at all 111", async () => {
    const list = await joeList();
    list.write("sub/x");
    expect((await list.run("ezmlm-warn", { args: ["{DIR}/sub"] })).code).toBe(100);
    expect((await list.run("ezmlm-warn", { args: ["{DIR}/none"] })).code).toBe(111);
  });
});

describe("ezmlm-warn, what it sends and forgets", () => {
  test("copylines of the bounce", async () => {
    const list = await joeList({ copylines: "1\n", listid: "<joe.lists.example.org>\n" });
    await comesBack(list, "1-joe=example.com", start);
    const [mail] = (await list.run("ezmlm-warn", { now: inDays(11) })).mails;
    expect(mail?.header).toContain("List-ID: <joe.lists.example.org>");
    expect(mail?.body.endsWith("Subject: failure notice\n\nbounce body\n")).toBe(true);
  });

  test("who left is not warned, and starts afresh after coming back", async () => {
    const list = await joeList();
    await comesBack(list, "1-joe=example.com", start);
    await list.run("ezmlm-unsub", { args: ["{DIR}", "joe@example.com"] });
    const ran = await list.run("ezmlm-warn", { now: inDays(11) });
    expect([ran.code, ran.mails, filesIn(list, "bounce/d"), filesIn(list, "bounce/h")]).toEqual([
      0,
      [],
      [],
      [],
    ]);
    await list.subscribe("", "joe@example.com");
    await comesBack(list, "5-joe=example.com", inDays(12));
    const [mail] = (await list.run("ezmlm-warn", { now: inDays(23) })).mails;
    expect(mail?.body).toContain("\n   5\n");
    expect(mail?.body).not.toContain("\n   1\n");
  });

  test("an address that only an entry @domain covers gets no mail", async () => {
    const list = await bareList({}, ["@example.com"]);
    list.write("bounce/d/1/d1.1", "joe@example.com\0Return-Path: <>\nSubject: x\n\n");
    const ran = await list.run("ezmlm-warn");
    expect([ran.code, ran.mails, filesIn(list, "bounce/d")]).toEqual([0, [], []]);
  });

  test("stray, empty and torn files go without harm to others", async () => {
    const list = await joeList();
    await comesBack(list, "1-joe=example.com", start);
    list.write("bounce/d/1/d1.1", "");
    list.write("bounce/d/1/d2.1", "no end of an address");
    list.write("bounce/d/1/d3.1/x", "a directory");
    list.write("bounce/d/1/x", "");
    list.write("bounce/d/179522_d4928.1", "left by a crash");
    const ran = await list.run("ezmlm-warn", { now: inDays(11) });
    expect([ran.code, ran.mails.length, readdirSync(join(list.dir, "bounce/d"))]).toEqual([
      0,
      1,
      [],
    ]);
  });

  test("a re-run of the same delivery after a crash warns nobody twice", async () => {
    const list = await joeList();
    await comesBack(list, "1-joe=example.com", start);
    const [name = ""] = filesIn(list, "bounce/d");
    const slot = readdirSync(join(list.dir, "bounce/d"))[0];
    const text = list.read(`bounce/d/${slot}/${name}`);
    const queue = new RecorderQueue();
    await list.run("ezmlm-warn", { now: inDays(11), queue, deliveryKey: "1.0" });
    // As if the process had died between the commit and the removal.
    list.write(`bounce/d/${slot}/${name}`, text);
    await list.run("ezmlm-warn", { now: inDays(12), queue, deliveryKey: "1.0" });
    expect(queue.mails).toHaveLength(1);
    expect(filesIn(list, "bounce/d")).toEqual([]);
  });

  test("a queue that is down keeps every bounce for the next time", async () => {
    const list = await joeList();
    await comesBack(list, "1-joe=example.com", start);
    const queue = new RecorderQueue();
    queue.refuse = new TemporaryError("qq write error or disk full (#4.3.0)");
    const ran = await list.run("ezmlm-warn", { now: inDays(11), queue });
    expect([ran.code, list.has("bounce/lastd")]).toEqual([111, false]);
    queue.refuse = undefined;
    const [mail] = (await list.run("ezmlm-warn", { now: inDays(11), queue })).mails;
    expect(mail?.body).toContain("\n   1\n");
  });

  test("bounces come in while a long look goes on, and nobody is warned twice", async () => {
    const list = await joeList();
    const people = Array.from({ length: 25 }, (_, at) => `user${at}@example.com`);
    await list.subscribe("", ...people);
    for (const person of people) await comesBack(list, `1-${person.replace("@", "=")}`, start);
    const queue = new SlowQueue(25);
    const events: string[] = [];
    const looks = [1, 2].map(async () => {
      expect((await list.run("ezmlm-warn", { now: inDays(11), queue })).code).toBe(0);
      events.push("look");
    });
    await queue.first;
    await comesBack(list, "2-ann=example.net", inDays(11));
    events.push("bounce");
    await Promise.all(looks);
    expect(events[0]).toBe("bounce");
    expect(queue.mails.flatMap((mail) => mail.recipients).sort()).toEqual([...people].sort());
    expect(filesIn(list, "bounce/d")).toHaveLength(1);
  });

  test("a mail that is refused for good does not stop those after it", async () => {
    const list = await joeList();
    await comesBack(list, "1-joe=example.com", start);
    await comesBack(list, "1-ann=example.net", start);
    const queue = new RecorderQueue();
    queue.refuse = new PermanentError("mail server permanently rejected message (#5.3.0)");
    const ran = await list.run("ezmlm-warn", { now: inDays(11), queue });
    expect([ran.code, filesIn(list, "bounce/d"), filesIn(list, "bounce/h")]).toEqual([0, [], []]);
    expect(ran.stderr.match(/warning: bounce \d+\/d\S+: mail server permanently/g)).toHaveLength(2);
  });

  test("a bounce cannot put fields or lines into our mail", async () => {
    const list = await joeList();
    const evil = "evil>\nBcc: x@y.z\n\n<@bad.example";
    const env = { SENDER: evil, DEFAULT: "1-joe=example.com" };
    const stdin = Buffer.concat([
      Buffer.from("Subject: \0a\r\nBcc: victim@example.com\r\n"),
      Buffer.alloc(400_000, "x"),
    ]);
    await list.run("ezmlm-return", { env, stdin, now: start });
    const [mail] = (await list.run("ezmlm-warn", { now: inDays(11) })).mails;
    expect(mail?.recipients).toEqual(["joe@example.com"]);
    expect(mail?.header.filter((raw) => /^(bcc|return-path)/i.test(raw))).toEqual([]);
    expect(mail?.bytes.length).toBeLessThan(300_000);
    expect(mail?.bytes.includes(0)).toBe(false);
  });

  test("numbers nobody asks for any more are forgotten, a letter a day", async () => {
    const list = await joeList();
    list.write("bounce/lasth", "m");
    list.write("bounce/h/n/hkdaabfigfiennhoddcc", "   1\n");
    list.write("bounce/h/o/hxx", "   1\n");
    const old = inDays(-31);
    for (const name of ["n/hkdaabfigfiennhoddcc", "o/hxx"]) {
      utimesSync(join(list.dir, "bounce/h", name), old, old);
    }
    utimesSync(join(list.dir, "bounce/lasth"), old, old);
    await list.run("ezmlm-warn", { now: start });
    expect([list.read("bounce/lasth"), filesIn(list, "bounce/h")]).toEqual(["n", ["hxx"]]);
  });
});
