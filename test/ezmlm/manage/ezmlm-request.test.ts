import { describe, expect, test } from "vitest";
import { TemporaryError } from "../../../src/lib/errors.ts";
import { type BareList, bareList } from "../../support/bare-list.ts";
import { RecorderQueue } from "../../support/ezmlm.ts";

const joe = "joe@example.com";

function ask(list: BareList, message: string, env: Record<string, string> = {}, args = ["{DIR}"]) {
  return list.run("ezmlm-request", {
    args,
    stdin: message,
    env: { SENDER: joe, DEFAULT: "request", LOCAL: "joe-list-request", ...env },
  });
}

describe("ezmlm-request (golden G9)", () => {
  test.each([
    ["Subject: subscribe", "", "subscribe-joe=example.com"],
    ["Subject: Subscribe ann@other.example", "", "subscribe-ann=other.example"],
    ["Subject: get.1_3", "", "get.1_3-joe=example.com"],
    ["Subject: index 1 2", "", "index.1_2-joe=example.com"],
    ["Subject: signoff", "", "unsubscribe-joe=example.com"],
    ["Subject: =?utf-8?Q?sub?=", "", "subscribe-joe=example.com"],
    [
      "Subject: joe-list-sc.1.abc-joe=example.com@lists.example.org",
      "",
      "sc.1.abc-joe=example.com",
    ],
    ["Subject: joe-list-digest-subscribe", "", "digest-subscribe-joe=example.com"],
    ["X: y", "\n\nwho\n", "list-joe=example.com"],
    ["X: y", "set foo bar\n", "help"],
    ["X: y", "lists\n", "help"],
    ["X: y", "", "help"],
    [
      "Content-Type: multipart/alternative; boundary=b",
      "--b\nContent-Type: text/plain\n\nsubscribe\n--b--\n",
      "subscribe-joe=example.com",
    ],
  ])("%s / %j goes to joe-list-%3$s", async (field, body, command) => {
    const list = await bareList();
    const ran = await ask(list, `From: Joe <joe@example.com>\n${field}\n\n${body}`);
    expect([ran.code, ran.stderr]).toEqual([99, "ezmlm-request: info: qp 1\n"]);
    expect(ran.mails[0]?.sender).toBe(joe);
    expect(ran.mails[0]?.recipients).toEqual([`joe-list-${command}@lists.example.org`]);
    expect(ran.mails[0]?.header[0]).toBe(
      "Delivered-To: request processor for joe-list@lists.example.org",
    );
  });

  test("a command behind a quarter of a megabyte of blanks is found", async () => {
    const list = await bareList();
    const body = `${" ".repeat(250_000)}x\nwho\n`;
    const header = "Content-Transfer-Encoding: quoted-printable\n\n";
    const ran = await ask(list, header + body);
    expect(ran.mails[0]?.recipients).toEqual(["joe-list-list-joe=example.com@lists.example.org"]);
  });

  test.each([
    ["Subject: other-list-subscribe@else.where", 100],
    ["Subject: subscribe `rm`", 100],
    ["Subject: sub;ls", 100],
    ["Mailing-List: x\nSubject: help", 100],
    ["Delivered-To: request processor for joe-list@lists.example.org\nSubject: help", 100],
  ])("%j is refused", async (field, code) => {
    const ran = await ask(await bareList(), `${field}\n\n`);
    expect([ran.code, ran.mails.length]).toEqual([code, 0]);
  });

  test("the command may stand in the address; other addresses are left alone; bounces dropped", async () => {
    const list = await bareList();
    const direct = await ask(list, "Subject: x\n\n", { DEFAULT: "request-info" });
    expect(direct.mails[0]?.recipients).toEqual([
      "joe-list-info-joe=example.com@lists.example.org",
    ]);
    expect((await ask(list, "\n", { DEFAULT: "subscribe" })).code).toBe(0);
    expect((await ask(list, "Subject: help\n\n", { SENDER: "" })).code).toBe(99);
  });
});

describe("ezmlm-request -f", () => {
  async function global(): Promise<BareList> {
    const list = await bareList({}, [joe]);
    list.write(
      "config.cf",
      `# lists\njoe-list@lists.example.org:${list.dir}:A list about nothing\nfar@else.where:/nowhere:Far\nend\nx@y.z::hidden\n`,
    );
    return list;
  }
  const args = ["-f", "config.cf", "{DIR}"];
  const empty = { DEFAULT: "", LOCAL: "ezdomo" };

  test("lists and which are answered here", async () => {
    const list = await global();
    const lists = await ask(list, "X: y\n\nlists\n", empty, args);
    expect(lists.mails[0]?.body).toContain("joe-list@lists.example.org\n\tA list about nothing\n");
    expect(lists.mails[0]?.body).toContain("far@else.where");
    expect(lists.mails[0]?.body).not.toContain("hidden");
    expect(lists.mails[0]?.header).toContain("Mailing-List: ezmlm-request");
    const which = await ask(list, "X: y\n\nwhich\n", empty, args);
    expect(which.mails[0]?.body).toContain("A list about nothing");
    expect(which.mails[0]?.body).not.toContain("far@else.where");
  });

  test("commands go to the list that is named", async () => {
    const list = await global();
    const ran = await ask(list, "X: y\n\nsubscribe far ann@other.example\n", empty, args);
    expect(ran.mails[0]?.recipients).toEqual(["far-subscribe-ann=other.example@else.where"]);
    expect((await ask(list, "X: y\n\nsubscribe nowhere a@b.c\n", empty, args)).code).toBe(100);
    expect((await ask(list, "X: y\n\nhelp\n", empty, args)).mails[0]?.header).toContain(
      "From: joe-list-return-@lists.example.org",
    );
    expect((await ask(list, "\n", { LOCAL: "ezdomo-return-", DEFAULT: "" }, args)).code).toBe(0);
  });
});

describe("ezmlm-split", () => {
  const rules = "# x\ncom.example:0:52:east@sub.example\norg::: \n:0:26:low\n";
  const split = (list: BareList, command: string, extra: object = {}) =>
    list.run("ezmlm-split", {
      stdin: "From: x\nSubject: hi\n\nbody\n",
      env: {
        SENDER: joe,
        DEFAULT: command,
        DTLINE: "Delivered-To: joe-list-subscribe@lists.example.org\n",
      },
      ...extra,
    });

  test("sends the command on to the sublist that serves the domain, header only", async () => {
    const list = await bareList({ split: rules });
    const ran = await split(list, "Subscribe");
    expect(ran.code).toBe(99);
    expect(ran.mails[0]?.sender).toBe("joe-list-return-@lists.example.org");
    expect(ran.mails[0]?.recipients).toEqual(["east-subscribe-joe=example.com@sub.example"]);
    expect(ran.mails[0]?.bytes.toString()).toBe(
      "Delivered-To: joe-list-subscribe@lists.example.org\nFrom: x\nSubject: hi\n\n",
    );
  });

  test("leaves to the next line: other commands, addresses of this list, no split file", async () => {
    const list = await bareList({ split: rules });
    expect((await split(list, "help")).code).toBe(0);
    expect((await split(list, "subscribe-a=x.org")).code).toBe(0);
    expect((await split(await bareList(), "subscribe")).code).toBe(0);
  });

  test("a mistake in the file is temporary", async () => {
    const ran = await split(await bareList({ split: "com:x:1:list\n" }), "subscribe");
    expect([ran.code, ran.mails.length]).toEqual([111, 0]);
  });

  test("-D names the list of each address", async () => {
    const list = await bareList({ split: rules });
    const ran = await list.run("ezmlm-split", {
      args: ["-D", "{DIR}"],
      stdin: "joe@example.com\na@x.org\n",
    });
    expect(ran.stdout).toBe(
      "east@sub.example: joe@example.com\njoe-list@lists.example.org: a@x.org\n",
    );
  });
});

test.each([
  ["ezmlm-request", "request-subscribe"],
  ["ezmlm-split", "subscribe"],
])("%s leaves nothing open when the queue refuses", async (name, DEFAULT) => {
  const list = await bareList({ split: "com.example:0:52:east@sub.example\n" });
  const queue = new RecorderQueue();
  queue.refuse = new TemporaryError("queue full (#4.3.0)");
  const env = { SENDER: joe, DEFAULT, DTLINE: "Delivered-To: x\n" };
  const ran = await list.run(name, { stdin: "Subject: x\n\n", env, queue });
  expect([ran.code, queue.aborted]).toEqual([111, 1]);
});
