import fc from "fast-check";
import { afterAll, describe, expect, test } from "vitest";
import { CdbWriter } from "../../../src/lib/cdb.ts";
import { PermanentError, TemporaryError } from "../../../src/lib/errors.ts";
import { makeHome, RECEIVED, removeHomes, Talk } from "./support.ts";

const home = makeHome();
afterAll(removeHomes);

describe("SmtpSession", () => {
  test("says every core reply in qmail's words", async () => {
    const talk = new Talk(home);
    expect(talk.said).toBe("220 mx.test.example ESMTP\r\n");
    const lines: [string, string][] = [
      ["helo x", "250 mx.test.example"],
      ["EHLO", "250-mx.test.example\r\n250-PIPELINING\r\n250-SIZE 0\r\n250 8BITMIME"],
      ["RCPT TO:<u@test.example>", "503 MAIL first (#5.5.1)"],
      ["DATA", "503 MAIL first (#5.5.1)"],
      ["MAIL", "250 ok"],
      ["DATA", "503 RCPT first (#5.5.1)"],
      ["mail from:<s@x> BODY=8BITMIME SIZE=100", "250 ok"],
      ["RCPT TO:<u@other.example>", "553 sorry, that domain isn't in my list of allowed rcpthosts (#5.7.1)"], // biome-ignore format: a table
      ["RCPT TO:<u@TEST.example>", "250 ok"],
      ["RCPT TO:<u@a.b.sub.example>", "250 ok"],
      ["RCPT TO:<u@sub.example>", "553 sorry, that domain"],
      ["RCPT TO:<nohost>", "250 ok"],
      ["RCPT TO:<>", "555 syntax error (#5.5.4)"],
      ["RCPT TO:<a\rb@test.example>", "555 syntax error (#5.5.4)"],
      [`MAIL FROM:<${"a".repeat(900)}>`, "555 syntax error (#5.5.4)"],
      ["MAIL FROM:<a> SIZE=x", "555 syntax error (#5.5.4)"],
      ["MAIL FROM:<a> BODY=BINARYMIME", "555 syntax error (#5.5.4)"],
      ["RSET", "250 flushed"],
      ["RCPT TO:<u@test.example>", "503 MAIL first (#5.5.1)"],
      ["NOOP", "250 ok"],
      ["HELP", "214 "],
      ["VRFY x", "252 send some mail, i'll try my best"],
      ["EXPN x", "502 unimplemented (#5.5.1)"],
      ["", "502 unimplemented (#5.5.1)"],
      ["constructor", "502 unimplemented (#5.5.1)"],
      ["x".repeat(5000), "500 line too long (#5.5.2)"],
      ["QUIT", "221 mx.test.example"],
    ];
    for (const [line, start] of lines) {
      const said = await talk.send(`${line}\r\n`);
      expect(said.startsWith(start), `${line.slice(0, 60)} got ${said}`).toBe(true);
      expect(said.endsWith("\r\n")).toBe(true);
    }
    expect(talk.code).toBe(0);
    expect(await talk.send("NOOP\r\n")).toBe("");
  });

  test("queues envelope and bytes with a Received field on top", async () => {
    const talk = new Talk(home);
    await talk.send('HELO x\r\nMAIL FROM:<>\r\nRCPT TO:<@r1,@r2:"q\\"x"@TEST.example>\r\n');
    expect(await talk.send("RCPT b@test.example junk\r\nDATA\r\n")).toBe(
      "250 ok\r\n354 go ahead\r\n",
    );
    const line = `${"y".repeat(200_000)}\xff\0`;
    expect(await talk.send(`no header here\r\n..dot\r\n${line}\r\n.\r\n`)).toBe(
      "250 ok 1795224894 qp 77\r\n",
    );
    const [mail] = talk.queue.mails;
    expect(mail).toMatchObject({ sender: "", recipients: ['q"x@TEST.example', "b@test.example"] });
    expect(mail?.body.toString("latin1")).toBe(`${RECEIVED}no header here\n.dot\n${line}\n`);
    expect(await talk.send("DATA\r\n")).toBe("503 MAIL first (#5.5.1)\r\n");
  });

  test("accepts an empty message", async () => {
    const talk = new Talk(home);
    await talk.toData();
    expect(await talk.send(".\r\n")).toMatch(/^250 ok/);
    expect(talk.queue.mails[0]?.body.toString()).toBe(RECEIVED);
  });

  test("answers pipelined commands in one write, also behind the end of data", async () => {
    const talk = new Talk(home);
    const before = talk.writes.length;
    await talk.send("EHLO x\r\nMAIL FROM:<a@x>\r\nRCPT TO:<u@test.example>\r\nDATA\r\n");
    expect(talk.writes.length - before).toBe(1);
    const said = await talk.send(
      "one\r\n.\r\nMAIL FROM:<b@x>\r\nRCPT TO:<v@test.example>\r\nDATA\r\n",
    );
    expect(said).toBe("250 ok 1795224894 qp 77\r\n250 ok\r\n250 ok\r\n354 go ahead\r\n");
    expect(talk.writes.length - before).toBe(2);
    expect(await talk.send("two\r\n.\r\nQUIT\r\n")).toMatch(/^250 ok .*\r\n221 /);
    expect(talk.queue.mails.map((mail) => mail.sender)).toEqual(["a@x", "b@x"]);
    expect(talk.queue.mails[1]?.body.toString()).toContain("with ESMTP;");
  });

  test("cuts off a peer that sends the message before the 354, or speaks before the banner", async () => {
    const talk = new Talk(home);
    await talk.send("MAIL FROM:<a@x>\r\nRCPT TO:<u@test.example>\r\n");
    expect(await talk.send("DATA\r\nSubject: x\r\n\r\n.\r\n")).toMatch(/^554 .*#5\.5\.0/);
    expect(talk.code).toBe(1);
    expect(talk.queue.mails).toHaveLength(0);
  });

  test.each([
    ["\n", "550 bare LF"],
    ["\r", "550 bare CR"],
    ["\n.\n", "550 bare LF"],
    ["\n.\r\n", "550 bare LF"],
    ["\r\n.\n", "550 bare LF"],
    ["\r.\r\n", "550 bare CR"],
    ["\r\n.\r\r\n", "550 bare CR"],
  ])("refuses %j in a message and closes, whole or byte by byte", async (bytes, start) => {
    for (const split of [false, true]) {
      const talk = new Talk(home);
      await talk.toData();
      const text = `Subject: x\r\n\r\na${bytes}MAIL FROM:<evil@x>\r\nx\r\n.\r\n`;
      let said = "";
      for (const part of split ? text.split("") : [text]) said += await talk.send(part);
      expect(said.startsWith(start), said).toBe(true);
      expect(said.split("\r\n")).toHaveLength(2);
      expect(talk.code).toBe(1);
      expect(talk.queue.mails).toHaveLength(0);
      expect(talk.queue.aborted).toBe(1);
    }
  });

  test("badmailfrom refuses every recipient, by address or domain", async () => {
    const talk = new Talk(makeHome({ badmailfrom: "Bad@x.example\n@spam.example\n" }));
    for (const sender of ["bad@X.example", "any@spam.EXAMPLE"]) {
      expect(await talk.send(`MAIL FROM:<${sender}>\r\nRCPT TO:<u@test.example>\r\n`)).toBe(
        "250 ok\r\n553 sorry, your envelope sender is in my badmailfrom list (#5.7.1)\r\n",
      );
    }
    expect(await talk.send("MAIL FROM:<>\r\nRCPT TO:<u@test.example>\r\n")).toBe(
      "250 ok\r\n250 ok\r\n",
    );
  });

  test("RELAYCLIENT allows any recipient and appends its value", async () => {
    const talk = new Talk(makeHome({ rcpthosts: undefined }), { RELAYCLIENT: "@fix.me" });
    await talk.toData("a@any.example");
    await talk.send("x\r\n.\r\n");
    expect(talk.queue.mails[0]?.recipients).toEqual(["a@any.example@fix.me"]);
  });

  test("a missing rcpthosts makes no open relay, an empty one allows nothing but local names", async () => {
    const missing = new Talk(makeHome({ rcpthosts: undefined }));
    expect(await missing.send("MAIL\r\nRCPT TO:<a@mx.test.example>\r\n")).toMatch(/553 sorry/);
    const empty = new Talk(makeHome({ rcpthosts: "" }));
    expect(await empty.send("MAIL\r\nRCPT TO:<a@x>\r\nRCPT TO:<a>\r\n")).toMatch(
      /553 sorry.*\r\n250 ok/,
    );
  });

  test("morercpthosts.cdb is asked after rcpthosts, with suffixes", async () => {
    const cdb = new CdbWriter().add("more.example", "").add(".sub.more", "").bytes();
    const talk = new Talk(makeHome({ "morercpthosts.cdb": cdb }));
    await talk.send("MAIL\r\n");
    expect(await talk.send("RCPT TO:<a@MORE.example>\r\n")).toBe("250 ok\r\n");
    expect(await talk.send("RCPT TO:<a@x.sub.more>\r\n")).toBe("250 ok\r\n");
    expect(await talk.send("RCPT TO:<a@sub.more>\r\n")).toMatch(/^553/);
  });

  test("an unreadable morercpthosts.cdb ends the session with 421", async () => {
    const talk = new Talk(makeHome({ "morercpthosts.cdb": Buffer.alloc(2048, 255) }));
    expect(await talk.send("MAIL\r\nRCPT TO:<a@more.example>\r\n")).toMatch(
      /421 unable to read controls \(#4\.3\.0\)\r\n$/,
    );
    expect(talk.code).toBe(1);
  });

  test("localiphost stands for our own address literals", async () => {
    const talk = new Talk(makeHome({ localiphost: "test.example\n" }));
    await talk.toData("a@[127.0.0.1]");
    await talk.send(".\r\n");
    expect(talk.queue.mails[0]?.recipients).toEqual(["a@test.example"]);
    expect(await talk.send("MAIL\r\nRCPT TO:<a@[192.0.2.77]>\r\n")).toMatch(/553/);
  });

  test("databytes counts stored bytes; the reply comes after the message", async () => {
    const limited = makeHome({ databytes: "10\n" });
    for (const [text, start] of [
      ["12345678\r\n", "250 ok"],
      ["..3456789\r\n..\r\n", "552 sorry, that message size exceeds my databytes limit (#5.3.4)"],
      ["123456789\r\n", "250 ok"],
      ["1234567890\r\n", "552 "],
    ] as const) {
      const talk = new Talk(limited);
      await talk.toData();
      expect(await talk.send(`${text}.\r\n`)).toMatch(
        new RegExp(`^${start.replace(/[().]/g, ".")}`),
      );
      expect(talk.queue.aborted).toBe(start.startsWith("552") ? 1 : 0);
      expect(await talk.send("NOOP\r\n")).toBe("250 ok\r\n");
    }
    const talk = new Talk(limited);
    expect(await talk.send("MAIL FROM:<a@x> SIZE=11\r\n")).toMatch(/^552/);
    expect(await talk.send("MAIL FROM:<a@x> SIZE=10\r\n")).toBe("250 ok\r\n");
    expect(await new Talk(limited, { DATABYTES: "x" }).send("EHLO x\r\n")).toContain("SIZE 0\r\n");
    expect(await new Talk(limited, { DATABYTES: "7z" }).send("EHLO x\r\n")).toContain("SIZE 7\r\n");
  });

  test("100 hops are a loop, before size and queue", async () => {
    const talk = new Talk(makeHome({ databytes: "10\n" }));
    for (const [count, start] of [
      [99, "552 "],
      [100, "554 too many hops, this message is looping (#5.4.6)"],
    ] as const) {
      await talk.toData();
      const hops = "Received: x\r\ndelivered-to: y\r\n".repeat(50).split("\r\n").slice(0, count);
      expect((await talk.send(`${hops.join("\r\n")}\r\n.\r\n`)).startsWith(start)).toBe(true);
    }
    expect(talk.queue.mails).toHaveLength(0);
  });

  test("the verdict of the queue is told: D 554, Z 451, bugs 451", async () => {
    const talk = new Talk(home);
    for (const [error, said] of [
      [new PermanentError("mail server said\r\nno (#5.3.0)"), "554 mail server said no (#5.3.0)"],
      [new TemporaryError("qq write error or disk full (#4.3.0)"), "451 qq write error or disk full (#4.3.0)"], // biome-ignore format: a table
      [new TemporaryError("qq disk full (#4.3.1)"), "452 qq disk full (#4.3.1)"],
      [new Error("secret path"), "451 qq temporary problem (#4.3.0)"],
    ] as const) {
      talk.queue.verdict = () => {
        throw error;
      };
      await talk.toData();
      expect(await talk.send("x\r\n.\r\n")).toBe(`${said}\r\n`);
    }
    expect(talk.warnings.join()).toContain("secret path");
  });

  test("DATA is answered 451 while the queue cannot be reached", async () => {
    const talk = new Talk(home);
    talk.isQueueThere = false;
    await talk.send("MAIL\r\nRCPT TO:<u@test.example>\r\n");
    expect(await talk.send("DATA\r\n")).toBe("451 qqt failure (#4.3.0)\r\n");
    expect(await talk.send("DATA\r\n")).toBe("503 MAIL first (#5.5.1)\r\n");
  });

  test("refuses more than 10,000 recipients with 452 and keeps those it has", async () => {
    const talk = new Talk(home);
    await talk.send("MAIL\r\n");
    const said = await talk.send("RCPT TO:<u@test.example>\r\n".repeat(10_001));
    expect(said.match(/^250 ok/gm)).toHaveLength(10_000);
    expect(said).toMatch(/452 sorry, too many recipients \(#4\.5\.3\)\r\n$/);
    await talk.send("DATA\r\n");
    await talk.send(".\r\n");
    expect(talk.queue.mails[0]?.recipients).toHaveLength(10_000);
  });

  test("timeout() and end() abort a half message", async () => {
    const talk = new Talk(home);
    await talk.toData();
    await talk.send("half");
    talk.session.timeout();
    expect(talk.said).toMatch(/451 timeout \(#4\.4\.2\)\r\n$/);
    expect([talk.code, talk.queue.aborted]).toEqual([1, 1]);
    const other = new Talk(home);
    await other.toData();
    await other.send("half\r\n");
    other.session.end();
    expect([other.code, other.queue.aborted, other.queue.mails.length]).toEqual([1, 1, 0]);
  });

  test("end() while the queue decides still says the verdict and what was asked behind it", async () => {
    const talk = new Talk(home);
    let decide = (_receipt: { id: string }): void => {};
    talk.queue.verdict = () =>
      new Promise((resolve) => {
        decide = resolve;
      });
    await talk.toData();
    await talk.send("x\r\n.\r\nNOOP\r\n");
    talk.session.end();
    talk.session.timeout();
    expect(talk.code).toBeUndefined();
    decide({ id: "5" });
    expect(await talk.send("")).toBe("250 ok 1795224894 qp 5\r\n250 ok\r\n");
    expect(talk.code).toBe(1);
  });

  test("stop() lets a running message end and closes an idle session at once", async () => {
    const idle = new Talk(home);
    idle.session.stop();
    expect(idle.said).toMatch(/421 shutting down/);
    const busy = new Talk(home);
    await busy.toData();
    busy.session.stop();
    expect(await busy.send("x\r\n.\r\n")).toMatch(/^250 ok .*\r\n421 shutting down/);
    expect(busy.queue.mails).toHaveLength(1);
    const cut = new Talk(home);
    await cut.toData();
    cut.session.stop();
    cut.session.cut();
    expect(cut.said).toMatch(/421 shutting down/);
    expect([cut.code, cut.queue.aborted]).toEqual([1, 1]);
  });

  // Steps are chunks a well-behaved client sends after reading the reply to the one before.
  const command = fc.constantFrom(
    "EHLO x\r\n",
    "MAIL FROM:<a@x>\r\n",
    "RCPT TO:<u@test.example>\r\n",
    "RCPT TO:<u@no.example>\r\n",
    "NOOP\n",
    "RSET\r\n",
    "\r\n",
    "\xff\0\r\r\n",
    `${"z".repeat(4097)}\r\n`,
    "MAIL FROM:<a\xff@x>\r\n",
  );
  const mail = ["MAIL FROM:<a@x>\r\nRCPT TO:<u@test.example>\r\nDATA\r\n"];
  const message = fc
    .array(fc.constantFrom("\r\n", ".", "text", "\r\n.", "\0", "\r", "\n"), { maxLength: 8 })
    .map((parts) => [...mail, `${parts.join("")}\r\n.\r\nNOOP\r\n`]);
  const step = fc.oneof(
    fc.array(command, { maxLength: 6 }).map((lines) => [lines.join("")]),
    message,
  );

  test("chunking never changes replies or mail; nothing is ever thrown", async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(step, { maxLength: 6 }),
        fc.infiniteStream(fc.integer({ min: 1, max: 9 })),
        async (steps, sizes) => {
          // biome-ignore format: one line
          const whole = new Talk(home);
          const pieces = new Talk(home);
          for (const bytes of steps.flat()) {
            await whole.send(bytes);
            for (let at = 0; at < bytes.length; ) {
              const size = (sizes.next().value as number) * (bytes.length > 500 ? 300 : 1);
              await pieces.send(bytes.slice(at, at + size));
              at += size;
            }
          }
          expect(pieces.said).toBe(whole.said);
          expect(pieces.code).toBe(whole.code);
          expect(pieces.queue.mails).toEqual(whole.queue.mails);
          whole.session.end();
          expect(whole.queue.opened).toBe(whole.queue.mails.length + whole.queue.aborted);
        },
      ),
      { numRuns: 150 },
    );
  });

  test("random bytes in every state leave nothing half queued and a reply for each line", async () => {
    const bytes = fc.uint8Array({ maxLength: 400 }).map((list) => Buffer.from(list));
    await fc.assert(
      fc.asyncProperty(bytes, fc.boolean(), async (noise, inData) => {
        const talk = new Talk(home);
        if (inData) await talk.toData();
        await talk.send(noise);
        talk.session.end();
        await talk.send("");
        expect(talk.session.isClosed).toBe(true);
        expect(talk.queue.opened).toBe(talk.queue.mails.length + talk.queue.aborted);
        expect(talk.said).toMatch(/^(?:[2-5]\d\d[ -][\x20-\x7e]*\r\n)+$/);
      }),
      { numRuns: 500 },
    );
  });
});
