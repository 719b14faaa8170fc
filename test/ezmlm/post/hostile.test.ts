/** What strangers send: it may be refused or it may pass, but it breaks no header, file or program. */
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { beforeEach, describe, expect, test } from "vitest";
import { parseHeader } from "../../../src/lib/header.ts";
import { makeList, type RecordedMail, type TestList } from "../../support/ezmlm.ts";
import { commandIn, deliver, postText } from "../../support/list-mail.ts";

const READER = "reader@sub.example";
const MODERATOR = "mod@example.com";
const STRANGER = "stranger@x.example";

async function listWith(...switches: string[]): Promise<TestList> {
  const list = await makeList(switches);
  await list.run("ezmlm-sub", { args: ["{DIR}", READER] });
  await list.run("ezmlm-sub", { args: ["{DIR}", "mod", MODERATOR] });
  return list;
}

/** Field names of a mail we wrote, where each must be ours. */
const names = (mail: RecordedMail | undefined): string[] =>
  mail?.fields.map((field) => field.name.toLowerCase()) ?? [];

describe("SENDER", () => {
  test.each([
    "a@x.example\nBcc: victim@y.example",
    "a@x.example\r\nBcc: victim@y.example\r\n\r\nbody",
    '"a\nb"@x.example',
    "a@x.example>\nX-Evil: y",
    `${"l".repeat(5000)}@x.example`,
    "no-host",
    "@",
    "a@b@c@x.example",
    "\x1b[2J@x.example",
    "-accept-1.1.aaaaaaaaaaaaaaaaaaaa@x.example",
    "$(touch /tmp/pwned)`id`@x.example",
  ])("%j brings no field into a request, a stored post or a notice", async (sender) => {
    const list = await listWith("-mr");
    const post = await deliver(list, { sender, message: postText() });
    expect([0, 100], post.text).toContain(post.code);
    if (post.code === 100) {
      expect([post.mails, readdirSync(join(list.dir, "mod/pending"))]).toEqual([[], []]);
      return;
    }
    const [request] = post.mails;
    expect(names(request).filter((name) => name === "bcc" || name.startsWith("x-"))).toEqual([]);
    const [name = ""] = readdirSync(join(list.dir, "mod/pending"));
    const stored = readFileSync(join(list.dir, "mod/pending", name));
    expect(parseHeader(stored).fields.map((field) => field.name)).toEqual([
      "Return-Path",
      "Delivered-To",
      "From",
      "To",
      "Subject",
      "Message-ID",
    ]);
    const to = commandIn(request, "From", list);
    const back = await deliver(list, { to, sender: MODERATOR, message: "Subject: no\n\n" });
    expect([0, 100], back.text).toContain(back.code);
    expect(names(back.mails[0]).filter((each) => each === "bcc" || each.startsWith("x-"))).toEqual(
      [],
    );
  });
});

describe("a post", () => {
  let list: TestList;
  beforeEach(async () => {
    list = await listWith("-t", "-f");
    list.write("rewritefrom");
    list.write("prefix", "[joe #]\n");
  });
  const sent = async (message: string | Buffer): Promise<RecordedMail> => {
    const post = await deliver(list, { sender: STRANGER, message });
    expect([post.code, post.mails.length], post.text).toEqual([0, 1]);
    return post.mails[0] as RecordedMail;
  };
  const head = "To: joe-list@lists.example.org\n";

  test("with line breaks smuggled into From and Subject has no more fields than before", async () => {
    const smuggled = [
      "=?utf-8?Q?x=0ABcc:_victim@y.example=0A?=",
      "=?utf-8?B?eApCY2M6IHZpY3RpbUB5LmV4YW1wbGUK?=",
      "x\rBcc: victim@y.example",
      "x\0Bcc: victim@y.example",
    ];
    for (const text of smuggled) {
      const mail = await sent(
        `${head}From: ${text} <a@x.example>\nSubject: ${text}\nMessage-ID: <1@x>\n\nText.\n`,
      );
      expect(names(mail)).not.toContain("bcc");
      expect(names(mail).filter((name) => name === "from")).toHaveLength(1);
      const number = list.read("num").split(":")[0]?.padStart(2, "0");
      const kept = parseHeader(Buffer.from(list.read(`archive/0/${number}`), "latin1")).fields;
      expect(kept.map((field) => field.name.toLowerCase())).not.toContain("bcc");
    }
    expect(list.read("archive/0/index").split("\n")).toHaveLength(2 * smuggled.length + 1);
  });

  test("with a header line of 200 KB passes whole", async () => {
    const long = "x".repeat(200_000);
    const mail = await sent(`X-Long: ${long}\n${postText()}`);
    expect(mail.header).toContain(`X-Long: ${long}`);
    await sent(`${head}From: "${long}" <a@x.example>\nSubject: ${long}\n\nText.\n`);
    expect(list.read("archive/0/index").length).toBeLessThan(2 * 200_000 + 500);
  });

  test("with 10000 fields, or 100000 recipients in To, is dealt with", async () => {
    const mail = await sent(
      `${Array.from({ length: 10_000 }, (_, at) => `X-${at}: y\n`).join("")}${postText()}`,
    );
    expect(mail.header.filter((raw) => raw.startsWith("X-") && raw.endsWith(": y"))).toHaveLength(
      10_000,
    );
    const many = Array.from({ length: 20_000 }, (_, at) => `a${at}@x.example`).join(",\n ");
    await sent(`Cc: ${many}\n${postText()}`);
  });

  test("with NULs and 8-bit bytes keeps every byte of its body", async () => {
    const body = Buffer.from([0, 1, 2, 255, 254, 10, 0, 10, 46, 10, 13, 10]);
    const mail = await sent(Buffer.concat([Buffer.from(postText("x", "")), body]));
    expect(mail.bytes.includes(body)).toBe(true);
    expect(readFileSync(join(list.dir, "archive/0/01")).includes(body)).toBe(true);
  });

  test("without header, or of nothing at all, is refused", async () => {
    for (const message of [
      "",
      "\n",
      "\n\nTo: joe-list@lists.example.org\n",
      "Hello there\n",
      "\0",
    ]) {
      const post = await deliver(list, { sender: STRANGER, message });
      expect([post.code, post.mails], JSON.stringify(message)).toEqual([100, []]);
    }
    expect(list.has("num")).toBe(false);
  });

  test("of broken MIME goes out with what it has", async () => {
    list.write("mimeremove", "image\n");
    const top = `${postText("x", "").trimEnd()}\nContent-Type: multipart/mixed; boundary=b\n\n`;
    for (const body of [
      "no delimiter at all\n--bx\n",
      "--b\nContent-Type: text/plain\n\nopen end",
      "--b\nContent-Type: text/plain\n--b\n\n\n--b--\n--b\nafter the end\n",
      `--b\nContent-Type: multipart/mixed; boundary=b\n\n--b\n\nsame boundary\n--b--\n--b--\n`,
    ]) {
      const post = await deliver(list, { sender: STRANGER, message: top + body });
      expect([0, 100], `${body}: ${post.text}`).toContain(post.code);
      expect(post.mails.length).toBe(post.code === 0 ? 1 : 0);
    }
    const deep = Array.from(
      { length: 500 },
      (_, at) => `--b${at || ""}\nContent-Type: multipart/mixed; boundary=b${at + 1}\n\n`,
    ).join("");
    const post = await deliver(list, { sender: STRANGER, message: top + deep });
    expect([0, 100], post.text).toContain(post.code);
  });
});

describe("DEFAULT", () => {
  test("names no file but a waiting post's", async () => {
    const list = await listWith("-my");
    list.write("key.1", "secret");
    for (const word of ["accept", "reject", "confirm", "discard"]) {
      const program = word === "accept" || word === "reject" ? "ezmlm-moderate" : "ezmlm-confirm";
      for (const rest of [
        "",
        ".",
        "..",
        "../../key",
        "../accepted/1.1.aaaaaaaaaaaaaaaaaaaa",
        "1.1",
        "1.1.aaaaaaaaaaaaaaaaaaaa",
        "1.1.aaaaaaaaaaaaaaaaaaaa/../../../key",
        "1.1\0.aaaaaaaaaaaaaaaaaaaa",
        `1.1.${"é".repeat(20)}`,
        "-1.1.aaaaaaaaaaaaaaaaaaaa",
        "9".repeat(100_000),
      ]) {
        const env = { SENDER: STRANGER, LOCAL: `joe-list-${word}-${rest}`, DEFAULT: rest };
        const ran = await list.run(program, { env, stdin: "Subject: x\n\n" });
        expect([ran.code, ran.mails, ran.stderr.includes("not valid")], `${word} ${rest}`).toEqual([
          100,
          [],
          true,
        ]);
      }
      for (const missing of ["SENDER", "LOCAL", "DEFAULT"]) {
        const env = { SENDER: STRANGER, LOCAL: `joe-list-${word}-x`, DEFAULT: "x" };
        const ran = await list.run(program, {
          env: { ...env, [missing]: undefined },
          stdin: "Subject: x\n\n",
        });
        expect(ran.code, `${word} without ${missing}`).toBe(100);
      }
    }
  });
});
