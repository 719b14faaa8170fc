import { describe, expect, test } from "vitest";
import { bareList } from "../../support/bare-list.ts";
import { headerOf, type RecordedMail, runInProcess } from "../../support/ezmlm.ts";

const env = { SENDER: "joe@example.com" };

interface Parts {
  readonly to?: string;
  readonly subject?: string | null;
  readonly fields?: string;
  readonly body?: string;
}

function message({ to, subject = "Hello", fields = "", body = "Text.\n" }: Parts = {}): string {
  const line = subject === null ? "" : `Subject: ${subject}\n`;
  return `To: ${to ?? "joe-list@lists.example.org"}\n${line}${fields}\n${body}`;
}

async function check(
  parts: Parts,
  files: Readonly<Record<string, string>> = {},
  ...args: string[]
): Promise<string> {
  const list = await bareList(files, []);
  const ran = await list.run("ezmlm-reject", {
    env,
    args: [...args, "{DIR}"],
    stdin: message(parts),
  });
  expect([ran.mails, ran.stdout]).toEqual([[], ""]);
  const text = ran.stderr.replace(/^ezmlm-reject: (?:fatal|info): /, "").trim();
  return ran.code === 0 ? "fine" : `${ran.code} ${text}`;
}

describe("ezmlm-reject, whom the message names", () => {
  test.each([
    "joe-list@lists.example.org",
    "Joe <JOE-LIST@Lists.Example.ORG>",
    "virtual-joe-list@lists.example.org",
    "joe-list@lists.example.org.",
    "a@b.c,\n\tjoe-list@lists.example.org",
  ])("takes To: %s", async (to) => {
    expect(await check({ to })).toBe("fine");
    expect(await check({ to: "x@y.z", fields: `Cc: ${to}\n` })).toBe("fine");
  });

  test("refuses a list that is only in Bcc, 100 or silently; -T does not look", async () => {
    const parts = { to: "a@b.c", fields: "Bcc: joe-list@lists.example.org\n" };
    expect(await check(parts)).toMatch(/^100 .*To: or Cc:/);
    expect(await check(parts, {}, "-q")).toMatch(/^99 /);
    expect(await check(parts, {}, "-qQ")).toMatch(/^100 /);
    expect(await check(parts, {}, "-T")).toBe("fine");
  });
});

describe("ezmlm-reject, subjects", () => {
  test.each([null, "", "  ", "(null)", "(None)", "(no subject)"])(
    "refuses no subject: %s",
    async (subject) => {
      expect(await check({ subject })).toMatch(/^100 .*subject/);
      expect(await check({ subject }, {}, "-S")).toBe("fine");
    },
  );

  test.each(["help", "Remove", "SUBSCRIBE", " unsubscribe "])(
    "refuses the command %s",
    async (subject) => {
      expect(await check({ subject })).toMatch(/^100 .*command/);
      expect(await check({ subject }, {}, "-C")).toBe("fine");
    },
  );

  test("-b refuses what begins with subscribe, in Subject or text", async () => {
    expect(await check({ subject: "subscribe me" })).toBe("fine");
    expect(await check({ subject: "subscribe me" }, {}, "-b")).toMatch(/^100 /);
    expect(await check({ body: "\nUnsubscribe please\n" })).toBe("fine");
    expect(await check({ body: "\nUnsubscribe please\n" }, {}, "-b")).toMatch(/^100 .*command/);
    const base64 = Buffer.from("subscribe\r\n").toString("base64");
    const fields = "Content-Transfer-Encoding: base64\n";
    expect(await check({ fields, body: base64 }, {}, "-b")).toMatch(/^100 .*command/);
    expect(await check({ body: "I like to subscribe\n" }, {}, "-b")).toBe("fine");
  });

  test("-f sends the header of a command to LIST-request instead", async () => {
    const list = await bareList({}, []);
    const run = (stdin: string) => list.run("ezmlm-reject", { env, args: ["-f", "{DIR}"], stdin });
    const ran = await run(message({ subject: "unsubscribe" }));
    const [mail] = ran.mails as [RecordedMail];
    expect([ran.code, mail.sender, mail.recipients]).toEqual([
      99,
      "joe@example.com",
      ["joe-list-request@lists.example.org"],
    ]);
    expect(mail.bytes.toString()).toBe(
      `Delivered-To: command forwarder for joe-list@lists.example.org\n${message({ subject: "unsubscribe", body: "" })}`,
    );
    const again = await run(mail.bytes.toString());
    expect([again.code, again.mails]).toEqual([100, []]);
  });
});

describe("ezmlm-reject, order of the checks", () => {
  test("SENDER, headerreject, precedence, address, subject", async () => {
    const everything: Parts = {
      to: "a@b.c",
      subject: null,
      fields: "Precedence: bulk\nX-Bad: y\n",
    };
    const files = { headerreject: "x-bad\n" };
    const list = await bareList(files, []);
    const without = await list.run("ezmlm-reject", { env: {}, stdin: message(everything) });
    expect([without.code, without.stderr]).toEqual([
      100,
      "ezmlm-reject: fatal: SENDER is not set. (#5.3.5)\n",
    ]);
    const bounce = await list.run("ezmlm-reject", {
      env: { SENDER: "" },
      stdin: message(everything),
    });
    expect([bounce.code, bounce.stderr]).toEqual([
      100,
      "ezmlm-reject: fatal: I do not answer bounce messages. (#5.7.2)\n",
    ]);
    expect(await check(everything, files)).toMatch(/^100 I cannot take/);
    expect(await check(everything, files, "-H")).toMatch(/^99 /);
    expect(await check({ ...everything, fields: "Precedence: first-class\n" })).toMatch(
      /^100 .*To: or Cc:/,
    );
    expect(await check({ fields: "precedence: Junk\n" })).toMatch(/^99 /);
  });

  test("without DIR only precedence and Subject count", async () => {
    const run = (parts: Parts) => runInProcess("ezmlm-reject", { env, stdin: message(parts) });
    expect((await run({ to: "a@b.c" })).code).toBe(0);
    expect((await run({ to: "a@b.c", subject: "help" })).code).toBe(100);
    expect((await run({ fields: "Precedence: bulk\n" })).code).toBe(99);
  });
});

const part = (type: string, text = "x\n"): string => `--b\nContent-Type: ${type}\n\n${text}`;
const multipart = (...parts: string[]): Parts => ({
  fields: 'Content-Type: multipart/mixed; boundary="b"\n',
  body: `preamble\n${parts.join("")}--b--\n`,
});

describe("ezmlm-reject, types and sizes", () => {
  test("a whole message of a removed, rejected or not kept type", async () => {
    const html = { fields: "Content-Type: text/html\n" };
    expect(await check(html)).toBe("fine");
    expect(await check(html, { mimeremove: "text/html\n" })).toMatch(/^100 .*text\/html/);
    expect(await check(html, { mimereject: "text\n" })).toMatch(/^100 .*text\/html/);
    expect(await check(html, { mimekeep: "text/plain\n" })).toMatch(/^100 .*text\/html/);
    expect(await check(html, { mimekeep: "text\n", mimeremove: "text/html\n" })).toBe("fine");
    const sneaky = { fields: "Content-Type: (text/plain)\n text /\n HTML; x=y\n" };
    expect(await check(sneaky, { mimereject: "text/html\n" })).toMatch(/^100 .*text\/html/);
    expect(await check({}, { mimekeep: "text/plain\n" })).toBe("fine");
  });

  test("a part of a rejected type at any depth; removed types are ezmlm-send's to remove", async () => {
    const files = { mimereject: "application/x-evil\n" };
    const inner = 'multipart/mixed; boundary="c"';
    const deep = part(inner, `\n--c\nContent-Type:\n\tapplication/X-Evil; n=1\n\nx\n--c--\n`);
    expect(await check(multipart(part("text/plain"), part("application/x-evil")), files)).toMatch(
      /^100 .*application\/x-evil/,
    );
    expect(await check(multipart(part("text/plain"), deep), files)).toMatch(/^100 .*x-evil/);
    expect(await check(multipart(part("text/plain")), files)).toBe("fine");
    expect(
      await check(multipart(part("text/plain"), part("image/gif")), { mimeremove: "image\n" }),
    ).toBe("fine");
  });

  test("msgsize counts the body without headers of parts", async () => {
    const body = (size: number): Parts => ({ body: "x".repeat(size) });
    expect(await check(body(100), { msgsize: "100:10\n" })).toBe("fine");
    expect(await check(body(101), { msgsize: "100:10\n" })).toMatch(/^100 .*longer than 100 /);
    expect(await check(body(9), { msgsize: "100:10\n" })).toMatch(/^100 .*shorter than 10 /);
    expect(await check(body(0), { msgsize: "100\n" })).toBe("fine");
    expect(await check(body(5000), { msgsize: "0:10\n" })).toBe("fine");
    const big = multipart(part(`text/plain; name="${"n".repeat(500)}"`, "y".repeat(80)));
    expect(await check(big, { msgsize: "120:1\n" })).toBe("fine");
  });

  test("broken MIME is judged by what is there, and never hangs", async () => {
    const files = { mimereject: "image\n", msgsize: "1000000:1\n" };
    for (const fields of [
      "Content-Type: multipart/mixed\n",
      'Content-Type: multipart/mixed; boundary="b\n',
      "Content-Type: multipart/mixed; boundary=\n",
      "Content-Type: ;;;\n",
    ]) {
      expect(await check({ fields, body: part("text/plain") }, files)).toBe("fine");
    }
    const open = { ...multipart(), body: `${part("image/gif")}` };
    expect(await check(open, files)).toMatch(/^100 .*image\/gif/);
    const long = `multipart/mixed; boundary="${"b".repeat(2000)}"`;
    expect(await check({ fields: `Content-Type: ${long}\n` }, files)).toMatch(/^100 .*boundary/);
  });

  test("a hostile type reaches the bounce without control bytes and cut", async () => {
    const type = `text/\x1b[31m${"é".repeat(300)}`;
    const text = await check({ fields: `Content-Type: ${type}\n` }, { mimereject: "text\n" });
    expect(text).toMatch(/^100 [\x20-\x7e]{1,250}$/);
  });
});

test("the message of a header beyond all measure is refused, not read for ever", async () => {
  const list = await bareList({}, []);
  const stdin = `X-Long: ${"a".repeat(600_000)}\n${message()}`;
  const ran = await list.run("ezmlm-reject", { env, stdin });
  expect([ran.code, ran.stderr]).toEqual([
    100,
    "ezmlm-reject: fatal: The header is longer than 524288 bytes. (#5.3.4)\n",
  ]);
});

test("what ezmlm-reject -f forwards keeps its folding", async () => {
  const list = await bareList({}, []);
  const stdin = message({ subject: "help", fields: "X-Folded: a\n\tb\n" });
  const ran = await list.run("ezmlm-reject", { env, args: ["-f", "{DIR}"], stdin });
  expect(ran.mails[0]?.header).toContain("X-Folded: a\n\tb");
  expect(headerOf(ran.mails[0] as RecordedMail).take("Subject")).toBe("help");
});
