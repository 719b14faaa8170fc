import { describe, expect, test } from "vitest";
import { TemporaryError } from "../../../src/lib/errors.ts";
import { type BareList, bareList } from "../../support/bare-list.ts";
import { headerOf, RecorderQueue, type RunResult, runCommand, ways } from "../../support/ezmlm.ts";
import { handOver } from "../../support/hand-over.ts";
import { normalise } from "../../support/normalise.ts";

const REQUEST = `Delivered-To: joe-list-get@lists.example.org
Received: from there by here; 14 Nov 2023 22:13:19 -0000
From: Ann <ann@example.net>
Subject: archive

`;

function post(from: string, subject: string, number: number, body = `Body ${number}\n`): string {
  return `Received: from there by here; 14 Nov 2023 22:13:2${number} -0000
Date: Tue, 14 Nov 2023 22:13:2${number} +0000
X-Secret: yes
From: ${from}
To: joe-list@lists.example.org
Subject: ${subject}
Message-ID: <${number}@example.com>

${body}`;
}

/** Four posts: 1, 2 and 4 in one thread. */
async function archive(files: Record<string, string> = {}): Promise<BareList> {
  const list = await bareList({ "digest/lock": "", ...files }, ["ann@example.net"]);
  const joe = '"Joe User" <joe@example.com>';
  const posts = [
    post(joe, "Hello World", 1),
    post(joe, "Re: Hello World", 2, "\n\nfirst\n\n\n\nsecond\n\n"),
    post("Ann Other <ann@other.example>", "Other topic", 3),
    post(joe, "RE: hello world", 4),
  ];
  for (const stdin of posts) {
    const ran = await list.run("ezmlm-send", { env: { SENDER: "joe@example.com" }, stdin });
    expect([ran.code, ran.stderr]).toEqual([0, expect.stringContaining("qp")]);
  }
  return list;
}

interface More {
  sender?: string;
  args?: string[];
  stdin?: string;
  now?: Date;
  queue?: RecorderQueue;
}

function ask(list: BareList, command: string, more: More = {}): Promise<RunResult> {
  const { sender = "ann@example.net", ...settings } = more;
  return list.run("ezmlm-get", {
    stdin: REQUEST,
    env: { SENDER: sender, LOCAL: `joe-list-${command}`, DEFAULT: command },
    ...settings,
  });
}

const editor = { env: { SENDER: "joe@example.com", LOCAL: "joe-list" } };

describe("ezmlm-get in manager (golden G7)", () => {
  test.each(["get.1_3", "getx.1_3", "getv.1", "getn.1_4", "getr.1_3", "index", "thread.1"])(
    "%s",
    async (command) => {
      const list = await archive();
      const ran = await ask(list, command);
      expect([ran.code, ran.mails.length]).toEqual([99, 1]);
      expect(ran.mails[0]?.sender).toBe("joe-list-return-@lists.example.org");
      expect(ran.mails[0]?.recipients).toEqual(["ann@example.net"]);
      const name = command.replace(/\W/g, "-");
      await expect(normalise(ran.mails[0]?.bytes.toString() ?? "")).toMatchFileSnapshot(
        `../../golden/archive/${name}.eml`,
      );
    },
  );

  test.each(ways)("a message is a whole MIME part, header and body parted, %s", async (_n, run) => {
    const list = await archive();
    if (run === runCommand) handOver(list.dir);
    const env = { SENDER: "ann@example.net", LOCAL: "joe-list-get.1", DEFAULT: "get.1" };
    const ran = await run("ezmlm-get", { args: [list.dir], stdin: REQUEST, env });
    expect(ran.stderr).toMatch(/^ezmlm-get: info: qp /);
    const { simpleParser } = await import("mailparser");
    const text = ran.mails[0]?.body ?? "";
    const part = /filename="joe-list_1\.eml"\n\n(.*?)\n--[a-p]{20}/s.exec(text)?.[1] ?? "";
    const message = await simpleParser(part);
    expect([message.subject, message.text]).toEqual(["Hello World", "Body 1\n"]);
    expect(message.headers.has("x-secret")).toBe(false);
  });

  test.each(["subscribe", "digest-subscribe", "getting", "help", "allow-subscribe"])(
    "%s is left to the next line",
    async (command) => {
      const ran = await ask(await archive(), command);
      expect([ran.code, ran.mails.length]).toEqual([0, 0]);
    },
  );

  test("a missing message and a bad thread number bring the text get-bad", async () => {
    const list = await archive();
    const { rmSync } = await import("node:fs");
    rmSync(`${list.dir}/archive/0/02`);
    expect((await ask(list, "get.2")).mails[0]?.body).toContain("2: This message is not in");
    expect((await ask(list, "thread.77")).mails[0]?.body).toContain("This message is not in");
  });

  test.each<[string, Record<string, string>, string, string, number]>([
    ["everybody on a public list", {}, "get.1", "eve@example.com", 99],
    ["nobody without an archive", { archived: "-" }, "get.1", "ann@example.net", 100],
    ["index only where there is one", { indexed: "-" }, "index", "ann@example.net", 100],
    ["strangers on a closed list", { public: "-" }, "get.1", "eve@example.com", 100],
    ["strangers with modgetonly", { modgetonly: "" }, "get.1", "eve@example.com", 100],
    ["a moderator with modgetonly", { modgetonly: "", remote: "" }, "get.1", "MOD@x.example", 99],
    ["strangers with subgetonly", { subgetonly: "" }, "get.1", "eve@example.com", 100],
    ["subscribers with subgetonly", { subgetonly: "" }, "get.1", "ann@example.net", 99],
    ["bounces", {}, "get.1", "", 100],
    ["a wrong digest code", { digestcode: "abc\n" }, "dig.abd", "x@y.z", 100],
    ["a digest without code", {}, "dig.", "x@y.z", 100],
  ])("answers or refuses: %s", async (_what, files, command, sender, code) => {
    const list = await archive(
      Object.fromEntries(Object.entries(files).filter(([, t]) => t !== "-")),
    );
    const { rmSync } = await import("node:fs");
    for (const [name, text] of Object.entries(files))
      if (text === "-") rmSync(`${list.dir}/${name}`);
    await list.subscribe("mod", "mod@x.example");
    const ran = await ask(list, command, { sender });
    expect(ran.code, ran.stderr).toBe(code);
    if (sender.startsWith("MOD")) expect(ran.mails[0]?.recipients).toEqual(["mod@x.example"]);
  });

  test("mail of lists and our own is refused", async () => {
    const list = await archive();
    for (const field of [
      "Mailing-List: x",
      "Delivered-To: responder for joe-list@lists.example.org",
    ]) {
      expect((await ask(list, "get.1", { stdin: `${field}\n\n` })).code).toBe(100);
    }
  });
});

describe("digests", () => {
  test("every new message goes out once, to the database digest, by VERP", async () => {
    const list = await archive();
    await list.subscribe("digest", "dora@example.net");
    const ran = await list.run("ezmlm-get", editor);
    expect(ran.code).toBe(0);
    expect(ran.mails[0]?.sender).toBe("joe-list-digest-return-1-@lists.example.org-@[]");
    expect(ran.mails[0]?.recipients).toEqual(["dora@example.net"]);
    await expect(normalise(ran.mails[0]?.bytes.toString() ?? "")).toMatchFileSnapshot(
      "../../golden/archive/digest.eml",
    );
    expect(list.read("dignum")).toMatch(/^4:0:\d+\n$/);
    expect(list.read("digissue")).toBe("1:0\n");
    const again = await list.run("ezmlm-get", editor);
    expect([again.code, again.mails.length, again.stderr]).toEqual([
      0,
      0,
      expect.stringContaining("nothing new"),
    ]);
  });

  test("dig.CODE with a format starts one and stops the file", async () => {
    const list = await archive({ digestcode: "Abc\n" });
    await list.subscribe("digest", "dora@example.net");
    const ran = await ask(list, "dig.aBCr", { sender: "cron@host.example" });
    expect(ran.code).toBe(99);
    expect(ran.mails[0]?.body).toContain("End of joe-list Digest\n");
  });

  test("a queue that refuses leaves the state as it was", async () => {
    const list = await archive();
    await list.subscribe("digest", "dora@example.net");
    const queue = new RecorderQueue();
    queue.refuse = new TemporaryError("qq write error or disk full (#4.3.0)");
    expect((await list.run("ezmlm-get", { ...editor, queue })).code).toBe(111);
    expect(list.has("dignum")).toBe(false);
    queue.refuse = undefined;
    const ran = await list.run("ezmlm-get", { ...editor, queue });
    expect(headerOf(queue.take()).take("Subject")).toMatch(/Issue 1$/);
    expect(ran.code).toBe(0);
  });

  test("digest@ answers what came after the last digest", async () => {
    const list = await archive();
    await list.run("ezmlm-get", editor);
    const ran = await ask(list, "digest");
    expect(headerOf(ran.mails[0] as never).take("Subject")).toBe("joe-list Digest of: digest");
    expect(ran.mails[0]?.body).toContain("joe-list_4.eml");
    expect(ran.mails[0]?.body).not.toContain("joe-list_3.eml");
  });
});

describe("ezmlm-tstdig", () => {
  const hour = 3600_000;
  const at = (hours: number): Date => new Date(1_700_000_000_000 + hours * hour);
  async function digested(): Promise<BareList> {
    const list = await bareList({ num: "10:100\n", dignum: "5:50:1700000000\n" });
    return list;
  }
  const check = (list: BareList, args: string[], now: Date, env = {}) =>
    list.run("ezmlm-tstdig", { args: [...args, "{DIR}"], now, env }).then((ran) => ran.code);

  test.each<[string, string[], number, number]>([
    ["enough messages", ["-k0", "-t0", "-m5"], 0, 0],
    ["one message too few", ["-k0", "-t0", "-m6"], 0, 99],
    ["enough text", ["-k12", "-t0", "-m0"], 0, 0],
    ["a kilobyte too few", ["-k13", "-t0", "-m0"], 0, 99],
    ["long enough ago", ["-k0", "-t2", "-m0"], 2, 0],
    ["not long enough ago", ["-k0", "-t2", "-m0"], 1.99, 99],
    ["everything off", ["-k0", "-t0", "-m0"], 1000, 99],
    ["defaults", [], 1, 99],
  ])("%s", async (_what, args, hours, code) => {
    expect(await check(await digested(), args, at(hours))).toBe(code);
  });

  test("files set the limits, the editor starts one digest an hour", async () => {
    const list = await digested();
    list.write("digcount", "5\n");
    const env = { LOCAL: "joe-list" };
    expect(await check(list, [], at(1), env)).toBe(0);
    expect(await check(list, [], at(1.5), env)).toBe(99);
    expect(await check(list, [], at(2.1), env)).toBe(0);
    expect(await check(list, [], at(1.5))).toBe(0);
  });

  test("in manager it looks at dig commands only", async () => {
    const list = await digested();
    for (const [word, code] of [
      ["subscribe", 0],
      ["digest-subscribe", 0],
      ["dig.code", 99],
    ] as const) {
      expect(await check(list, ["-m6"], at(0), { LOCAL: "joe-list-x", DEFAULT: word })).toBe(code);
    }
  });

  test("a number that is none, or no DIR, is wrong use", async () => {
    const list = await digested();
    expect(await check(list, ["-m", "x"], at(0))).toBe(100);
    expect((await list.run("ezmlm-tstdig", { args: [] })).code).toBe(100);
  });
});
