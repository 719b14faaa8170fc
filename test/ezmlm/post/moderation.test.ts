/** Moderated posts: the request (golden G5), the answers to it, and what goes wrong in between. */
import {
  chmodSync,
  mkdirSync,
  readdirSync,
  rmSync,
  statSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { beforeEach, describe, expect, test } from "vitest";
import { PermanentError } from "../../../src/lib/errors.ts";
import {
  headerOf,
  makeList,
  type RecordedMail,
  RecorderQueue,
  type TestList,
} from "../../support/ezmlm.ts";
import {
  commandIn,
  type Delivered,
  deliver,
  failingQueue,
  postText,
} from "../../support/list-mail.ts";

const READER = "reader@sub.example";
const MODERATOR = "mod@example.com";
const SECOND = "second@example.com";
const STRANGER = "stranger@x.example";
const OK = "Subject: Re: MODERATE\n\nyes\n";

let list: TestList;

async function moderated(...switches: string[]): Promise<TestList> {
  const made = await makeList(["-m", ...switches]);
  await made.run("ezmlm-sub", { args: ["{DIR}", READER] });
  await made.run("ezmlm-sub", { args: ["{DIR}", "mod", MODERATOR, SECOND] });
  return made;
}

const waiting = (place = "pending"): string[] => readdirSync(join(list.dir, "mod", place));

/** Post, and the mail the moderators get. */
async function ask(message = postText(), sender = STRANGER): Promise<RecordedMail> {
  const post = await deliver(list, { sender, message });
  expect([post.code, post.mails.length], post.text).toEqual([0, 1]);
  return post.mails[0] as RecordedMail;
}

const answer = (
  request: RecordedMail,
  field: "Reply-To" | "From",
  more: { message?: string; sender?: string; queue?: RecorderQueue; key?: string } = {},
): Promise<Delivered> =>
  deliver(list, {
    to: commandIn(request, field, list),
    sender: MODERATOR,
    message: OK,
    ...more,
  });
const accept = (request: RecordedMail, more = {}) => answer(request, "Reply-To", more);
const reject = (request: RecordedMail, more = {}) => answer(request, "From", more);

beforeEach(async () => {
  list = await moderated("-r");
});

describe("the moderation request (golden G5)", () => {
  test("has its header in order, the post whole, and a file of mode 0700", async () => {
    const request = await ask();
    const [name = ""] = waiting();
    expect(name).toMatch(/^\d{10}\.\d+$/);
    const stored = list.read(`mod/pending/${name}`);
    expect(stored).toBe(
      `Return-Path: <${STRANGER}>\nDelivered-To: moderator for joe-list@lists.example.org\n${postText()}`,
    );
    expect(statSync(join(list.dir, "mod/pending", name)).mode & 0o777).toBe(0o700);
    expect(request.sender).toBe("joe-list-return-@lists.example.org");
    expect([...request.recipients].sort()).toEqual([MODERATOR, SECOND]);
    expect(request.fields.map((field) => field.name)).toEqual([
      "Mailing-List",
      "Date",
      "Message-ID",
      "From",
      "Reply-To",
      "Cc",
      "To",
      "Subject",
      "Auto-Submitted",
      "MIME-Version",
      "Content-Type",
    ]);
    const header = headerOf(request);
    const cookie = /^joe-list-reject-([\d.]+)\.([a-p]{20})@lists\.example\.org$/.exec(
      header.take("From"),
    );
    expect(cookie?.[1]).toBe(name);
    expect(header.take("Reply-To")).toBe(
      `joe-list-accept-${name}.${cookie?.[2]}@lists.example.org`,
    );
    expect(header.take("Cc")).toMatch(
      new RegExp(`^joe-list-allow-tc\\.${name.split(".")[0]}\\.[a-p]{20}-stranger=x\\.example@`),
    );
    expect(header.take("To")).toBe("<joe-list-moderators@lists.example.org>");
    expect(header.take("Subject")).toBe("MODERATE for joe-list@lists.example.org");
    expect(header.take("Content-Type")).toMatch(/^multipart\/mixed; boundary=[a-p]{20}$/);
    expect(request.body).toContain(`Content-Type: message/rfc822`);
    expect(request.body).toContain(stored);
  });

  test("reply to all lets the author in from now on", async () => {
    const request = await ask();
    const to = commandIn(request, "Cc", list);
    const ran = await deliver(list, { to, sender: MODERATOR, message: OK });
    expect([ran.code, ran.mails], ran.text).toEqual([0, []]);
    const allowed = await list.run("ezmlm-list", { args: ["{DIR}", "allow"] });
    expect(allowed.stdout).toBe(`${STRANGER}\n`);
  });

  test("a moderator's own post, and a list without remote, offer no such address", async () => {
    expect((await ask(postText(), MODERATOR)).fields.map(({ name }) => name)).not.toContain("Cc");
    list = await moderated();
    expect((await ask()).fields.map(({ name }) => name)).not.toContain("Cc");
  });

  test("-B leaves the body out, -M appends without parts", async () => {
    const env = { SENDER: STRANGER };
    const header = await list.run("ezmlm-store", { env, args: ["-B", "{DIR}"], stdin: postText() });
    expect(header.mails[0]?.body).toContain("Subject: Hello");
    expect(header.mails[0]?.body).not.toContain("Text.");
    const plain = await list.run("ezmlm-store", { env, args: ["-M", "{DIR}"], stdin: postText() });
    expect(plain.mails[0]?.body).toContain("Text.");
    expect(plain.mails[0]?.body).not.toContain("message/rfc822");
  });

  test("-s: own posts go to those named in modpost, others to mod", async () => {
    list.write("modpost", "trusted\n");
    mkdirSync(join(list.dir, "trusted"));
    await list.run("ezmlm-sub", { args: ["{DIR}", "trusted", "self@x.example"] });
    const run = (SENDER: string) =>
      list.run("ezmlm-store", { env: { SENDER }, args: ["-s", "{DIR}"], stdin: postText() });
    expect((await run("self@x.example")).mails[0]?.recipients).toEqual(["self@x.example"]);
    expect([...((await run(STRANGER)).mails[0]?.recipients ?? [])].sort()).toEqual([
      MODERATOR,
      SECOND,
    ]);
  });

  test("where nobody is a moderator the owner is asked", async () => {
    await list.run("ezmlm-unsub", { args: ["{DIR}", "mod", MODERATOR, SECOND] });
    expect((await ask()).recipients).toEqual(["joe-list-owner@lists.example.org"]);
  });

  test("a post that was here, or comes from a list, is refused and does not stay", async () => {
    const looped = `Delivered-To: moderator for joe-list@lists.example.org\n${postText()}`;
    for (const message of [looped, `Mailing-List: other\n${postText()}`]) {
      const post = await deliver(list, { sender: STRANGER, message });
      expect([post.code, post.mails, waiting()]).toEqual([100, [], []]);
    }
  });
});

describe("accept and reject", () => {
  test("accept sends the post with its own sender and leaves an empty stub", async () => {
    const request = await ask();
    const [name = ""] = waiting();
    const done = await accept(request);
    expect(done.code, done.text).toBe(0);
    expect(done.mails[0]?.sender).toBe("joe-list-return-1-@lists.example.org-@[]");
    expect(done.mails[0]?.recipients).toEqual([READER]);
    expect(list.read("archive/0/01")).toMatch(/^Return-Path: <stranger@x\.example>\n/);
    expect([waiting(), waiting("accepted")]).toEqual([[], [name]]);
    expect(list.read(`mod/accepted/${name}`)).toBe("");
  });

  test("a quoted or 8-bit sender comes back as it was", async () => {
    for (const sender of ['"a b"@x.example', "jörg@x.example", "a b@x.example", "x>y@x.example"]) {
      const request = await ask(postText(), sender);
      const back = await reject(request);
      expect(back.mails[0]?.recipients, sender).toEqual([sender]);
    }
  });

  test("reject returns it with the comment (golden G5)", async () => {
    const request = await ask();
    const [name = ""] = waiting();
    const message = "Subject: Re: no\n\nHi\n> %%% start\n> your comment\n> %%% end\nbye\n";
    const done = await reject(request, { message });
    const [notice] = done.mails;
    expect([done.code, notice?.sender, notice?.recipients]).toEqual([
      0,
      "joe-list-return-@lists.example.org",
      [STRANGER],
    ]);
    expect(notice?.fields.map((field) => field.name)).toEqual([
      "Mailing-List",
      "Date",
      "Message-ID",
      "From",
      "To",
      "Subject",
      "Auto-Submitted",
      "MIME-Version",
      "Content-Type",
    ]);
    const header = headerOf(notice as RecordedMail);
    expect(header.take("From")).toBe("joe-list-owner@lists.example.org");
    expect(header.take("To")).toBe(STRANGER);
    expect(header.take("Subject")).toBe("Returned post for joe-list@lists.example.org");
    const rule = "-".repeat(20);
    expect(notice?.body).toContain(
      `\n>>>>> ${rule} >>>>>\nyour comment\n<<<<< ${rule} <<<<<\n\n--`,
    );
    expect(notice?.body).toContain(postText());
    expect(notice?.body).not.toContain("bye");
    expect([waiting(), list.read(`mod/rejected/${name}`), list.has("num")]).toEqual([
      [],
      "",
      false,
    ]);
  });

  const base64 = Buffer.from("%%% a\r\nGrüße\r\n%%% b\r\n").toString("base64");
  test.each([
    ["base64", `Content-Transfer-Encoding: base64\n\n${base64}\n`, "Grüße"],
    [
      "quoted-printable",
      "Content-Transfer-Encoding: quoted-printable\n\n%%%\nGr=C3=BC=C3=9F=\ne\n%%%\n",
      "Grüße",
    ],
    ["latin1", Buffer.from("\n%%%\nGr\xfc\xdfe\n%%%\n", "latin1"), "Grüße"],
    [
      "a part",
      `Content-Type: multipart/alternative; boundary=b\n\nx\n--b\nContent-Type: text/plain; charset=utf-8\nContent-Transfer-Encoding: base64\n\n${base64}\n--b\nContent-Type: text/html\n\n<p>no\n--b--\n`,
      "Grüße",
    ],
  ])("a comment in %s is read", async (how, mail, expected) => {
    const type =
      how === "a part"
        ? ""
        : `Content-Type: text/plain; charset=${how === "latin1" ? "iso-8859-1" : "utf-8"}\n`;
    const message = Buffer.concat([Buffer.from(`Subject: x\n${type}`), Buffer.from(mail)]);
    const done = await reject(await ask(), { message });
    expect(done.mails[0]?.body).toContain(`>>>>>\n${expected}\n<<<<<`);
  });

  test("without a closing mark there is no comment", async () => {
    const done = await reject(await ask(), { message: "Subject: x\n\n%%% start\nsecret\n" });
    expect(done.mails[0]?.body).not.toContain("secret");
  });

  test("-t gives the notice a Reply-To; a line break in it is refused", async () => {
    const request = await ask();
    const to = commandIn(request, "From", list);
    const env = {
      SENDER: MODERATOR,
      LOCAL: `joe-list${to}`,
      DEFAULT: to.replace("-reject-", ""),
    };
    const run = (address: string) =>
      list.run("ezmlm-moderate", { env, args: ["-t", address, "{DIR}"], stdin: OK });
    expect((await run("a@x\nBcc: b@x")).code).toBe(100);
    expect(waiting()).toHaveLength(1);
    const done = await run("boss@x.example");
    expect(headerOf(done.mails[0] as RecordedMail).take("Reply-To")).toBe("boss@x.example");
  });

  test("a program named takes the post over", async () => {
    const request = await ask();
    const to = commandIn(request, "Reply-To", list);
    const env = { SENDER: MODERATOR, LOCAL: `joe-list${to}`, DEFAULT: to.replace("-accept-", "") };
    const shell = `cat >'${list.dir}/taken'; printf %s "$SENDER" >'${list.dir}/sender'; exit `;
    const run = (...command: string[]) =>
      list.run("ezmlm-moderate", { env, args: ["{DIR}", ...command], stdin: OK });
    expect((await run(`${shell}3`)).code).toBe(111);
    expect((await run(`${shell}100`)).code).toBe(100);
    expect((await run("/no/such/program", "x")).code).toBe(100);
    expect([waiting().length, waiting("accepted")]).toEqual([1, []]);
    expect((await run(`${shell}0`)).code).toBe(0);
    expect(list.read("sender")).toBe(STRANGER);
    expect(list.read("taken")).toContain("Subject: Hello");
    expect([waiting(), waiting("accepted").length]).toEqual([[], 1]);
  });
});

describe("two moderators", () => {
  test("who accept at once send it once", async () => {
    const request = await ask();
    const both = await Promise.all([
      accept(request),
      accept(request, { sender: SECOND }),
      accept(request, { sender: SECOND }),
    ]);
    expect(both.map(({ code }) => code)).toEqual([0, 0, 0]);
    expect(both.flatMap(({ mails }) => mails)).toHaveLength(1);
    expect(list.read("num")).toMatch(/^1:/);
  });

  test("of whom one accepts and one rejects: the first counts, the other is told", async () => {
    const request = await ask();
    const [yes, no] = await Promise.all([accept(request), reject(request, { sender: SECOND })]);
    expect([yes.code, no.code].sort()).toEqual([0, 100]);
    expect([...yes.mails, ...no.mails]).toHaveLength(1);
    expect(yes.code === 0 ? no.text : yes.text).toMatch(/was (accepted|rejected) already/);
    const again = yes.code === 0 ? await accept(request) : await reject(request);
    expect([again.code, again.mails]).toEqual([0, []]);
  });

  test("the post is gone: told so", async () => {
    const request = await ask();
    await accept(request);
    const [name = ""] = waiting("accepted");
    rmSync(join(list.dir, "mod/accepted", name));
    const late = await accept(request);
    expect([late.code, late.mails]).toEqual([100, []]);
    expect(late.text).toContain("no longer have this post");
  });
});

describe("addresses nobody gave out", () => {
  test("a wrong cookie, name or word does nothing", async () => {
    const request = await ask();
    const to = commandIn(request, "Reply-To", list);
    const other = to.endsWith("a") ? "b" : "a";
    const wrong = [
      to.slice(0, -1) + other,
      to.slice(0, -1),
      to.replace(/\.(\d+)\./, ".1$1."),
      "-accept-",
      "-accept-../../key",
      "-accept-1.1.../../../etc/passwd",
      `-accept-${"9".repeat(400)}.1.${"a".repeat(20)}`,
    ];
    for (const address of wrong) {
      const ran = await deliver(list, { to: address, sender: MODERATOR, message: OK });
      expect([ran.code, ran.mails], address).toEqual([100, []]);
    }
    expect(waiting()).toHaveLength(1);
  });

  test("the cookie to accept a post is none to discard or confirm another", async () => {
    const to = commandIn(await ask(), "Reply-To", list);
    const confirm = await deliver(list, {
      to: to.replace("accept", "confirm"),
      sender: MODERATOR,
      message: OK,
    });
    expect([confirm.code, confirm.mails, waiting().length]).toEqual([100, [], 1]);
  });

  test("robots decide nothing", async () => {
    const request = await ask();
    const vacation = "Auto-Submitted: auto-replied\nSubject: away\n\nI am away.\n";
    const robot = await accept(request, { message: vacation });
    expect([robot.code, robot.mails]).toEqual([0, []]);
    const bounce = await accept(request, { sender: "" });
    expect([bounce.code, bounce.mails, waiting().length]).toEqual([100, [], 1]);
  });
});

describe("a queue that fails", () => {
  test("the post is kept, asked about once when the delivery comes again", async () => {
    const queue = failingQueue(1);
    const run = () =>
      deliver(list, { sender: STRANGER, message: postText(), queue, key: "store.1" });
    expect((await run()).code).toBe(111);
    expect((await run()).code).toBe(0);
    expect((await run()).code).toBe(0);
    expect([queue.mails.length, waiting().length]).toEqual([1, 1]);
    expect((await accept(queue.mails[0] as RecordedMail)).mails).toHaveLength(1);
  });

  test("outside of a delivery, or for good, nothing stays", async () => {
    const queue = failingQueue(1);
    const env = { SENDER: STRANGER };
    const ran = await list.run("ezmlm-store", { env, stdin: postText(), queue });
    expect([ran.code, waiting()]).toEqual([111, []]);
    const shut = new RecorderQueue();
    shut.refuse = new PermanentError("mail server permanently rejected message (#5.3.0)");
    const post = await deliver(list, { sender: STRANGER, message: postText(), queue: shut });
    expect([post.code, waiting()]).toEqual([100, []]);
  });

  test.each(["accept", "reject"] as const)(
    "%s: everything as it was, the re-run does it once",
    async (word) => {
      const request = await ask();
      const decide = word === "accept" ? accept : reject;
      const queue = failingQueue(1);
      const first = await decide(request, { queue, key: "decide.1" });
      expect([first.code, waiting().length, queue.mails]).toEqual([111, 1, []]);
      const other = await decide(request, { sender: SECOND });
      expect([other.code, other.mails], "somebody is at it").toEqual([0, []]);
      for (const round of [1, 2]) {
        const again = await decide(request, { queue, key: "decide.1" });
        expect([again.code, waiting().length, queue.mails.length], `${round}`).toEqual([0, 0, 1]);
      }
      if (word === "accept") expect(list.read("num")).toMatch(/^1:/);
    },
  );

  test("by hand it may be tried again, and decided otherwise", async () => {
    const request = await ask();
    const to = commandIn(request, "Reply-To", list);
    const env = { SENDER: MODERATOR, LOCAL: `joe-list${to}`, DEFAULT: to.replace("-accept-", "") };
    const queue = failingQueue(1);
    const ran = await list.run("ezmlm-moderate", { env, stdin: OK, queue });
    expect([ran.code, waiting("accepted"), waiting().length]).toEqual([111, [], 1]);
    expect((await reject(request)).code).toBe(0);
  });

  test("a decision begun by hand that crashed binds nobody", async () => {
    const request = await ask();
    writeFileSync(join(list.dir, "mod/accepted", waiting()[0] as string), "-");
    const back = await reject(request);
    expect([back.code, back.mails.length]).toEqual([0, 1]);
    expect([waiting(), waiting("accepted"), waiting("rejected").length]).toEqual([[], [], 1]);
  });

  test("a crash after the stub: the post is neither sent again nor returned", async () => {
    const request = await ask();
    const [name = ""] = waiting();
    writeFileSync(join(list.dir, "mod/accepted", name), "");
    const ran = await accept(request);
    expect([ran.code, ran.mails, waiting()]).toEqual([0, [], []]);
  });
});

describe("ezmlm-clean", () => {
  const hours = (count: number): Date => new Date(Date.now() + count * 3_600_000);
  const clean = (now: Date, queue = new RecorderQueue(), args = ["{DIR}"]) =>
    list.run("ezmlm-clean", { now, queue, args });

  test("returns after modtime, 120 hours without, and keeps to 24..240", async () => {
    for (const [modtime, kept, gone] of [
      ["", 119, 121],
      ["0\n", 119, 121],
      ["1\n", 23, 25],
      ["48\n", 47, 49],
      ["1000\n", 239, 241],
    ] as const) {
      list.write("modtime", modtime);
      await ask();
      expect((await clean(hours(kept))).mails, modtime).toEqual([]);
      expect(waiting()).toHaveLength(1);
      const [notice] = (await clean(hours(gone))).mails;
      expect([notice?.sender, notice?.recipients]).toEqual([
        "joe-list-return-@lists.example.org",
        [STRANGER],
      ]);
      expect(waiting()).toEqual([]);
    }
  });

  test("the notice is that of golden G5", async () => {
    await ask();
    const [notice] = (await clean(hours(121))).mails as [RecordedMail];
    expect(notice.fields.map((field) => field.name)).toEqual([
      "Mailing-List",
      "Date",
      "Message-ID",
      "From",
      "Subject",
      "To",
      "Auto-Submitted",
      "MIME-Version",
      "Content-Type",
    ]);
    const header = headerOf(notice);
    expect(header.take("From")).toBe("joe-list-help@lists.example.org");
    expect(header.take("Subject")).toBe("Returned post for joe-list@lists.example.org");
    expect(notice.body).toContain(postText());
  });

  test("returns nothing with noreturnposts, -R or when it was decided on; -r wins", async () => {
    list.write("noreturnposts");
    await ask();
    expect((await clean(hours(121))).mails).toEqual([]);
    expect(waiting()).toEqual([]);
    await ask();
    expect((await clean(hours(121), new RecorderQueue(), ["-r", "{DIR}"])).mails).toHaveLength(1);
    await ask();
    expect((await clean(hours(121), new RecorderQueue(), ["-R", "{DIR}"])).mails).toEqual([]);
    await ask();
    writeFileSync(join(list.dir, "mod/accepted", waiting()[0] as string), "");
    expect((await clean(hours(121), new RecorderQueue(), ["-r", "{DIR}"])).mails).toEqual([]);
    expect([waiting(), waiting("accepted")]).toEqual([[], []]);
  });

  test("goes by the name: stubs and half files go, read-only and strange files stay", async () => {
    const put = (path: string, mode = 0o600): void => {
      mkdirSync(join(list.dir, path, ".."), { recursive: true });
      writeFileSync(join(list.dir, path), `Return-Path: <${STRANGER}>\n\n`);
      chmodSync(join(list.dir, path), mode);
      utimesSync(join(list.dir, path), 1, 1);
    };
    put("mod/pending/1000000000.1", 0o600);
    put("mod/pending/1000000000.2", 0o500);
    put("mod/pending/README", 0o700);
    put("mod/accepted/1000000000.3");
    put("mod/rejected/1000000000.4");
    put("mod/unconfirmed/1000000000.5", 0o700);
    put(`mod/accepted/${Math.floor(Date.now() / 1000)}.6`);
    const ran = await clean(new Date());
    expect([ran.code, ran.mails]).toEqual([0, []]);
    expect([
      waiting(),
      waiting("accepted").length,
      waiting("rejected"),
      waiting("unconfirmed"),
    ]).toEqual([["1000000000.2", "README"], 1, [], []]);
  });

  test("a full queue keeps the post; one that cannot be returned does not stop the others", async () => {
    await ask();
    expect((await clean(hours(121), failingQueue(1))).code).toBe(111);
    expect(waiting()).toHaveLength(1);
    await ask(postText(), "other@x.example");
    const queue = new RecorderQueue();
    const open = queue.open.bind(queue);
    let first = true;
    queue.open = (options) => {
      const submission = open(options);
      if (!first) return submission;
      first = false;
      const commit = async () => {
        throw new PermanentError("address refused (#5.1.3)");
      };
      return { ...submission, commit };
    };
    expect((await clean(hours(121), queue)).code).toBe(100);
    expect([queue.mails.length, waiting().length]).toEqual([1, 1]);
    const shut = new RecorderQueue();
    shut.refuse = new PermanentError("address refused (#5.1.3)");
    await clean(hours(242), shut);
    expect(waiting()).toEqual([]);
  });
});
