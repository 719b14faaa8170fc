import { chmodSync, rmSync, utimesSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { PermanentError, TemporaryError } from "../../../src/lib/errors.ts";
import { type BareList, bareList } from "../../support/bare-list.ts";
import { RecorderQueue } from "../../support/ezmlm.ts";

const G1 = `Return-Path: <joe@example.com>
Delivered-To: joe-list@lists.example.org
Received: (qmail 1 invoked by uid 1); 14 Nov 2023 22:13:20 -0000
Received: from there by here; 14 Nov 2023 22:13:19 -0000
Date: Tue, 14 Nov 2023 22:13:18 +0000
From: "Joe User" <joe-list@example.com>
To: joe-list@lists.example.org
Reply-To: joe@reply.example
Subject: Re: Hello World
Message-ID: <1@example.com>
Precedence: normal
List-Unsubscribe: <mailto:x@y.z>

Body line 1
Body line 2
`;
const env = { SENDER: "joe@example.com" };

describe("ezmlm-send, a plain post (golden G1)", () => {
  test("header, body and envelope are those of ezmlm", async () => {
    const list = await bareList();
    const ran = await list.run("ezmlm-send", { env, stdin: G1 });
    expect([ran.code, ran.stderr]).toEqual([0, "ezmlm-send: info: qp 1\n"]);
    const mail = ran.mails[0];
    expect(mail?.sender).toBe("joe-list-return-1-@lists.example.org-@[]");
    expect(mail?.recipients).toEqual(["ann@example.net", "bob@example.net"]);
    expect(
      mail?.bytes.toString(),
    ).toBe(`Mailing-List: contact joe-list-help@lists.example.org; run by ezmlm
Sender: <joe-list@lists.example.org>
Precedence: bulk
X-No-Archive: yes
List-Post: <mailto:joe-list@lists.example.org>
List-Help: <mailto:joe-list-help@lists.example.org>
List-Unsubscribe: <mailto:joe-list-unsubscribe@lists.example.org>
List-Subscribe: <mailto:joe-list-subscribe@lists.example.org>
Delivered-To: mailing list joe-list@lists.example.org
Delivered-To: joe-list@lists.example.org
Received: (qmail 1 invoked by uid 1); 14 Nov 2023 22:13:20 -0000
Date: Tue, 14 Nov 2023 22:13:18 +0000
From: "Joe User" <joe-list@example.com>
To: joe-list@lists.example.org
Reply-To: joe@reply.example
Subject: Re: Hello World
Message-ID: <1@example.com>

Body line 1
Body line 2
`);
  });

  test("archive, index and num are those of ezmlm", async () => {
    const list = await bareList();
    await list.run("ezmlm-send", { env, stdin: G1 });
    expect(list.read("archive/0/01")).toBe(`Return-Path: <joe@example.com>
Delivered-To: mailing list joe-list@lists.example.org
${G1.split("\n").slice(1, 10).join("\n")}

Body line 1
Body line 2
`);
    expect(list.mode("archive/0/01")).toBe(0o744);
    expect(list.read("num")).toBe("1:0\n");
    expect(list.read("archive/0/index")).toBe(
      "1: ooglnecamlenokomobla Re: Hello World\n" +
        "\t14 Nov 2023 22:13:20 -0000;pjemhgnfechpnpnhdnik Joe User\n",
    );
  });
});

describe("ezmlm-send in a delivery that is repeated", () => {
  const queue = () => new RecorderQueue();

  test("posts once, with the same number, archive and index", async () => {
    const list = await bareList();
    const shared = queue();
    const run = (deliveryKey: string, stdin = G1) =>
      list.run("ezmlm-send", { env, stdin, queue: shared, deliveryKey });
    await run("7.1");
    const again = await run("7.1");
    expect(again.code).toBe(0);
    expect(shared.mails).toHaveLength(1);
    expect(list.read("num")).toBe("1:0\n");
    expect(list.read("archive/0/index").match(/^\d+:/gm)).toEqual(["1:"]);
  });

  test("keeps its number over a full queue, while another post goes on", async () => {
    const list = await bareList();
    const full = queue();
    full.refuse = new TemporaryError("qq write error or disk full (#4.3.0)");
    const first = await list.run("ezmlm-send", { env, stdin: G1, queue: full, deliveryKey: "7.1" });
    expect(first.code).toBe(111);
    const other = G1.replace("Re: Hello World", "Other");
    const second = await list.run("ezmlm-send", { env, stdin: other, deliveryKey: "8.1" });
    expect(second.mails[0]?.sender).toContain("-return-2-");
    const retry = await list.run("ezmlm-send", { env, stdin: G1, deliveryKey: "7.1" });
    expect(retry.mails[0]?.sender).toContain("-return-1-");
    expect(list.read("num")).toBe("2:0\n");
    expect(list.read("archive/0/index").match(/^\d+: \S+ .*/gm)).toEqual([
      "1: ooglnecamlenokomobla Re: Hello World",
      expect.stringMatching(/^2: [a-p]{20} Other$/),
    ]);
  });

  test("gives the number back when the queue refuses for good", async () => {
    const list = await bareList();
    const shut = queue();
    shut.refuse = new PermanentError("mail server permanently rejected message (#5.3.0)");
    const ran = await list.run("ezmlm-send", { env, stdin: G1, queue: shut, deliveryKey: "7.1" });
    expect(ran.code).toBe(100);
    expect([list.read("num"), list.has("archive/0/01")]).toEqual(["0:0\n", false]);
    const next = await list.run("ezmlm-send", { env, stdin: G1, deliveryKey: "8.1" });
    expect(next.mails[0]?.sender).toContain("-return-1-");
  });

  test("a number whose `num` was lost with the power is not given twice", async () => {
    const list = await bareList();
    const now = new Date();
    await list.run("ezmlm-send", { env, stdin: G1, deliveryKey: "7.1", now });
    const second = await list.run("ezmlm-send", { env, stdin: G1, deliveryKey: "8.1", now });
    expect(second.mails[0]?.sender).toContain("-return-2-");
    // What the disk may hold then: the bytes before the second post, the time of the file after it.
    list.write("num", "1:0\n");
    const third = await list.run("ezmlm-send", { env, stdin: G1, deliveryKey: "9.1", now });
    expect(third.mails[0]?.sender).toContain("-return-3-");
    expect(list.read("num")).toBe("3:0\n");
  });

  test("an owner who takes a message out of the archive and sets `num` back is obeyed", async () => {
    const list = await bareList();
    const now = new Date(Date.now() - 3600_000);
    await list.run("ezmlm-send", { env, stdin: G1, deliveryKey: "7.1", now });
    await list.run("ezmlm-send", { env, stdin: G1, deliveryKey: "8.1", now });
    list.write("num", "1:0\n");
    rmSync(join(list.dir, "archive/0/02"));
    const next = await list.run("ezmlm-send", { env, stdin: G1, deliveryKey: "9.1" });
    expect(next.mails[0]?.sender).toContain("-return-2-");
  });
});

describe("ezmlm-send and a `num` that is damaged", () => {
  const yesterday = new Date(Date.now() - 86_400_000);
  const post = (list: BareList, subject: string, deliveryKey?: string) =>
    list.run("ezmlm-send", {
      env,
      stdin: G1.replace("Re: Hello World", subject),
      ...(deliveryKey === undefined ? {} : { deliveryKey }),
      now: yesterday,
    });
  const archived = (list: BareList): (string | undefined)[] =>
    ["01", "02", "03", "04"].map((name) =>
      list.has(`archive/0/${name}`)
        ? /^Subject: (.*)$/m.exec(list.read(`archive/0/${name}`))?.[1]
        : undefined,
    );
  const keys = {
    "in deliveries": (at: number) => `${at}.1`,
    "from a shell": () => undefined,
  };

  async function threePosts(key: (at: number) => string | undefined): Promise<BareList> {
    const list = await bareList();
    for (const at of [1, 2, 3]) await post(list, `p${at}`, key(at));
    expect([list.read("num"), archived(list)]).toEqual(["3:0\n", ["p1", "p2", "p3", undefined]]);
    return list;
  }

  describe.each(Object.entries(keys))("posts came %s", (_how, key) => {
    test.each([
      ["lost", undefined],
      ["empty", ""],
      ["zeros", "\0\0\0\0"],
      ["cut off", "1"],
      ["set back to the beginning", "0:0\n"],
      ["set back by two", "1:0\n"],
      ["set back by one", "2:0\n"],
    ])("%s: the list goes on behind its last message, and says so", async (_what, num) => {
      const list = await threePosts(key);
      if (num === undefined) rmSync(join(list.dir, "num"));
      else {
        list.write("num", num);
        // Later than the archive also by a clock of coarse ticks.
        const later = Date.now() / 1000 + 1;
        utimesSync(join(list.dir, "num"), later, later);
      }
      const ran = await post(list, "p4", key(4));
      expect([ran.code, ran.mails[0]?.sender]).toEqual([
        0,
        "joe-list-return-4-@lists.example.org-@[]",
      ]);
      expect(ran.stderr).toContain(
        `ezmlm-send: warning: ${list.dir}/num did not count message 3, and does now\n`,
      );
      expect([list.read("num"), archived(list)]).toEqual(["4:0\n", ["p1", "p2", "p3", "p4"]]);
      expect(list.read("archive/0/index").match(/^\d+:/gm)).toEqual(["1:", "2:", "3:", "4:"]);
    });

    test.each([
      "3:0:0\n",
      " 3\n",
      "3:0 # reset\n",
      "\t3 :\r\n",
      "3 4\n",
      "3:-1\n",
      "3. is the last\n",
    ])("%j, as a hand may write it: the next post is 4", async (num) => {
      const list = await threePosts(key);
      list.write("num", num);
      const ran = await post(list, "p4", key(4));
      expect([ran.code, ran.stderr]).toEqual([0, "ezmlm-send: info: qp 1\n"]);
      expect([list.read("num"), archived(list)]).toEqual(["4:0\n", ["p1", "p2", "p3", "p4"]]);
    });

    test.each(["garbage\n", "-5:3\n", "99999999999999999999:1\n", "3:9999999999999999\n", ":3\n"])(
      "%j: the post waits, and the file is named",
      async (num) => {
        const list = await threePosts(key);
        list.write("num", num);
        const ran = await post(list, "p4", key(4));
        expect([ran.code, ran.mails.length]).toEqual([111, 0]);
        expect(ran.stderr).toContain(`${list.dir}/num is damaged: it says "${num.trimEnd()}"`);
        expect([list.read("num"), archived(list)]).toEqual([num, ["p1", "p2", "p3", undefined]]);
        list.write("num", "3:0\n");
        expect((await post(list, "p4", key(4))).mails[0]?.sender).toContain("-return-4-");
      },
    );
  });

  test("the reservations in list.db are enough where there is no archive", async () => {
    const list = await bareList();
    for (const name of ["archived", "indexed"]) rmSync(join(list.dir, name));
    await post(list, "p1", "1.1");
    await post(list, "p2", "2.1");
    list.write("num", "");
    expect((await post(list, "p3", "3.1")).mails[0]?.sender).toContain("-return-3-");
  });

  test("a whole file of a number that was never counted goes, as a crash leaves one", async () => {
    const list = await threePosts(keys["in deliveries"]);
    list.write("archive/0/04", "Subject: of a crash\n\n");
    chmodSync(join(list.dir, "archive/0/04"), 0o744);
    const ran = await post(list, "p4", "4.1");
    expect([ran.stderr, list.read("num")]).toEqual(["ezmlm-send: info: qp 1\n", "4:0\n"]);
    expect(archived(list)).toEqual(["p1", "p2", "p3", "p4"]);
  });

  test("a new list has none, and begins with 1 in silence", async () => {
    const list = await bareList();
    const ran = await post(list, "p1", "1.1");
    expect([ran.stderr, list.read("num")]).toEqual(["ezmlm-send: info: qp 1\n", "1:0\n"]);
  });
});

describe("ezmlm-send, the index", () => {
  const subjects = (text: string): (string | undefined)[] =>
    text.split("\n").flatMap((line) => /^\d+: \S+ (.*)/.exec(line)?.[1] ?? []);
  const post = async (list: Awaited<ReturnType<typeof bareList>>, subject: string) =>
    list.run("ezmlm-send", { env, stdin: G1.replace("Re: Hello World", subject) });

  test("grows by an entry per post; old entries keep their bytes", async () => {
    const list = await bareList();
    await post(list, "one");
    const first = list.read("archive/0/index");
    await post(list, "two");
    expect(list.read("archive/0/index").startsWith(first)).toBe(true);
    expect(subjects(list.read("archive/0/index"))).toEqual(["one", "two"]);
  });

  test.each([
    ["half a line", "1: ncgeelkcdoljapffamkl one\n\t14 Nov 2023 22:13:20 -0000;ncgeelkcdol"],
    ["zeros", `1: ncgeelkcdoljapffamkl one\n${"\0".repeat(40)}`],
    [
      "an entry that was never counted",
      "2: ncgeelkcdoljapffamkl never\n\t;ncgeelkcdoljapffamkl x\n",
    ],
  ])("drops what a crash left at its end: %s", async (_what, rest) => {
    const list = await bareList();
    await post(list, "one");
    const whole = list.read("archive/0/index");
    list.write("archive/0/index", rest.startsWith("1") ? rest : whole + rest);
    await post(list, "two");
    expect(subjects(list.read("archive/0/index"))).toEqual(["one", "two"]);
    expect(list.read("archive/0/index")).not.toContain("\0");
  });

  test("keeps the entries of an index of old programs", async () => {
    const list = await bareList();
    await post(list, "one");
    list.write("archive/0/index", "1: of long ago\n");
    await post(list, "two");
    expect(list.read("archive/0/index")).toMatch(/^1: of long ago\n2: \S+ two\n\t.*\n$/);
  });
});
