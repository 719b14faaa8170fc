import { execFileSync } from "node:child_process";
import { existsSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, afterEach, describe, expect, test } from "vitest";
import type { Environment } from "../../../src/lib/program.ts";
import { tcpHandles } from "../../../src/lib/tcp-handle.ts";
import { SmtpListener } from "../../../src/mta/smtpd/listener.ts";
import { QueueLink } from "../../../src/mta/smtpd/queue-link.ts";
import { FakeQueue, type FakeQueueScript } from "../../support/fake-queue.ts";
import { Client, makeHome, portOf, removeHomes } from "./support.ts";

interface Running {
  queue: FakeQueue;
  listener: SmtpListener;
  port: number;
  home: string;
  log: string[];
}

const cleanups: (() => Promise<void> | void)[] = [];
afterEach(async () => {
  for (const clean of cleanups.splice(0).reverse()) await clean();
});
afterAll(removeHomes);

async function start(
  files: Record<string, string | undefined> = {},
  script: FakeQueueScript = {},
  options: { env?: Environment; drainMs?: number; onNet?: boolean } = {},
): Promise<Running> {
  const home = makeHome(files);
  const queue = await FakeQueue.start(script);
  cleanups.push(() => queue.stop());
  const log: string[] = [];
  const link = new QueueLink(queue.path, Buffer.alloc(32), (text) => log.push(text));
  await link.start();
  cleanups.push(() => link.stop());
  const listener = new SmtpListener({
    home,
    env: options.env ?? {},
    queue: () => link.door,
    log: (line) => log.push(line),
    handles: options.onNet ? undefined : tcpHandles(process),
    drainMs: options.drainMs ?? 300,
  });
  cleanups.push(() => listener.stop());
  const server = await listener.listen({ port: 0, host: "127.0.0.1" });
  return { queue, listener, port: portOf(server), home, log };
}

function client(port: number): Client {
  const c = new Client(port);
  cleanups.push(() => {
    c.socket.destroy();
  });
  return c;
}

/** Banner up to 354. */
async function toData(c: Client): Promise<void> {
  await c.expect("220 mx.test.example ESMTP");
  c.send("EHLO me\r\nMAIL FROM:<a@x>\r\nRCPT TO:<u@test.example>\r\nDATA\r\n");
  await c.expect("250-mx.test.example", "250 ok", "250 ok", "354 go ahead");
}

describe.each([
  ["handles", false],
  ["sockets of net", true],
])("SmtpListener on %s", (_, onNet) => {
  test("queues a message over the socket and keeps the connection for the next", async () => {
    const { queue, port } = await start({}, {}, { onNet });
    const c = client(port);
    await toData(c);
    c.send("Subject: one\r\n\r\n..x\r\n.\r\nMAIL FROM:<>\r\nRCPT TO:<v@test.example>\r\nDATA\r\n");
    await c.expect("250 ok ", "250 ok", "250 ok", "354 ");
    c.send(".\r\nQUIT\r\n");
    expect(await c.reply()).toMatch(/^250 ok \d+ qp 1002\r\n$/);
    await c.expect("221 mx.test.example");
    await c.closed();
    expect(queue.mails.map((m) => [m.sender, m.recipients])).toEqual([
      ["a@x", ["u@test.example"]],
      ["", ["v@test.example"]],
    ]);
    expect(queue.mails[0]?.body.toString()).toMatch(
      /^Received: from unknown \(HELO me\) \(127\.0\.0\.1\)\n {2}by mx\.test\.example with ESMTP; .* -0000\nSubject: one\n\n\.x\n$/,
    );
  });

  test("cuts off a peer that speaks before the banner", async () => {
    const { port } = await start({}, {}, { onNet });
    const c = client(port);
    c.send("EHLO early\r\n");
    await c.expect("554 SMTP protocol violation");
    await c.closed();
  });

  test("refuses a bare LF, says so although more bytes follow, and queues nothing", async () => {
    const { queue, port } = await start({}, {}, { onNet });
    const c = client(port);
    await toData(c);
    c.send(`x\r\n\n.\r\nMAIL FROM:<evil@x>\r\n${"y".repeat(500_000)}`);
    await c.expect("550 bare LF");
    await c.closed();
    expect(queue.mails).toHaveLength(0);
  });

  test("streams 400 MB with flat memory", async () => {
    const { queue, port } = await start({}, { sink: true }, { onNet });
    let seen = 0;
    queue.script.verdict = (mail) => {
      seen = mail.bodyBytes;
      return undefined;
    };
    const c = client(port);
    await toData(c);
    const line = Buffer.from(`${"0123456789".repeat(100)}\r\n`);
    const block = Buffer.concat(Array.from({ length: 1000 }, () => line));
    const before = process.memoryUsage().rss;
    let peak = before;
    for (let sent = 0; sent < 400; sent++) {
      if (!c.socket.write(block)) {
        await new Promise((resolve) => c.socket.once("drain", resolve));
      }
      peak = Math.max(peak, process.memoryUsage().rss);
    }
    c.send(".\r\n");
    await c.expect("250 ok ");
    expect(seen).toBeGreaterThan(400 * 1001 * 1000 - 1);
    // What garbage may lie about, and far less than what came.
    expect(peak - before).toBeLessThan(200 << 20);
  }, 30_000);

  test("a queue that stops reading stops the client, and nothing is lost", async () => {
    const { queue, port } = await start({}, { sink: true, autoCredit: false }, { onNet });
    const c = client(port);
    await toData(c);
    const block = Buffer.from(`${"z".repeat(998)}\r\n`.repeat(1000));
    for (let sent = 0; sent < 20; sent++) c.socket.write(block);
    await new Promise<void>((resolve) => {
      let last = -1;
      // Still for several turns: the window is used up and the socket is paused.
      const look = setInterval(() => {
        if (c.socket.bytesWritten === last) {
          clearInterval(look);
          resolve();
        }
        last = c.socket.bytesWritten;
      }, 50);
    });
    expect(c.socket.writableLength).toBeGreaterThan(1_000_000);
    queue.tell({ type: "credit", session: 1, bytes: 1 << 30 });
    c.send(".\r\n");
    await c.expect("250 ok ");
  });

  test("stop() ends idle sessions with 421, lets a message finish, and resolves", async () => {
    const { listener, queue, port } = await start({}, {}, { drainMs: 5000, onNet });
    const idle = client(port);
    await idle.expect("220 ");
    const busy = client(port);
    await toData(busy);
    busy.send("half");
    await new Promise((resolve) => setImmediate(resolve));
    const stopped = listener.stop();
    await idle.expect("421 shutting down");
    await idle.closed();
    busy.send(" and half\r\n.\r\n");
    await busy.expect("250 ok ", "421 shutting down");
    await busy.closed();
    await stopped;
    expect(queue.mails).toHaveLength(1);
  });

  test("stop() cuts a message that does not end", async () => {
    const { listener, queue, port } = await start({}, {}, { drainMs: 100, onNet });
    const c = client(port);
    await toData(c);
    c.send("never ends\r\n");
    await listener.stop();
    await c.expect("421 shutting down");
    await c.closed();
    expect(queue.mails).toHaveLength(0);
  });

  test("answers everything to a client that sends and closes its half", async () => {
    const { port } = await start({}, {}, { onNet });
    const c = client(port);
    await c.expect("220 ");
    c.socket.end("NOOP\r\nHELP\r\n");
    await c.expect("250 ok", "214 ");
    await c.closed();
  });
});

describe("SmtpListener", () => {
  test("sends one byte at a time as well as all", async () => {
    const { queue, port } = await start();
    const c = client(port);
    await c.expect("220 ");
    const say = (text: string): void => {
      for (const byte of text) c.send(byte);
    };
    say("EHLO me\r\nMAIL FROM:<a@x>\r\nRCPT TO:<u@test.example>\r\nDATA\r\n");
    await c.expect("250-", "250 ok", "250 ok", "354 ");
    say("a\r\n..\r\n.\r\nQUIT\r\n");
    await c.expect("250 ok ", "221 ");
    expect(queue.mails[0]?.body.toString()).toMatch(/\na\n\.\n$/);
  });

  test("the queue's verdict reaches the client", async () => {
    const { port } = await start(
      {},
      { verdict: (mail) => ({ verdict: mail.sender === "d@x" ? "D" : "Z", text: "no (#0.0.0)" }) },
    );
    const c = client(port);
    await c.expect("220 ");
    for (const [sender, code] of [
      ["d@x", "554 no (#0.0.0)"],
      ["z@x", "451 no (#0.0.0)"],
    ] as const) {
      c.send(`MAIL FROM:<${sender}>\r\nRCPT TO:<u@test.example>\r\nDATA\r\n`);
      await c.expect("250", "250", "354");
      c.send("x\r\n.\r\n");
      await c.expect(code);
    }
  });

  test("a lost queue gives 451 to open transactions; the next message gets through", async () => {
    const verdicts: ("cut" | undefined)[] = ["cut"];
    const { queue, port, log } = await start({}, { verdict: () => verdicts.shift() });
    const c = client(port);
    await toData(c);
    c.send("x\r\n.\r\n");
    await c.expect("451 lost connection to the queue (#4.3.0)");
    await queue.until(() => queue.connections === 1);
    for (let attempt = 0; ; attempt++) {
      c.send("MAIL FROM:<a@x>\r\nRCPT TO:<u@test.example>\r\nDATA\r\n");
      await c.expect("250", "250");
      const said = await c.reply(); // the welcome may still be under way
      if (said.startsWith("354")) break;
      expect(said).toBe("451 qqt failure (#4.3.0)\r\n");
      expect(attempt).toBeLessThan(1000);
    }
    c.send("x\r\n.\r\n");
    await c.expect("250 ok ");
    expect(queue.mails).toHaveLength(1);
    expect(log.join()).toContain("unable to reach the queue");
  });

  test("timeoutsmtpd closes a silent session with 451", async () => {
    const { port } = await start({ timeoutsmtpd: "1\n" });
    const c = client(port);
    await c.expect("220 ", "451 timeout (#4.4.2)");
    await c.closed();
  });

  test("timeoutsmtpd is no limit for who goes on, nor for who waits for the queue", async () => {
    const { queue, port } = await start({ timeoutsmtpd: "2\n" }, { verdict: () => "hold" });
    const waiting = client(port);
    await toData(waiting);
    waiting.send("x\r\n.\r\n");
    const [slowCommand, slowData] = [client(port), client(port)];
    await slowCommand.expect("220 ");
    await toData(slowData);
    // Far longer than the limit in all, never so long at a time.
    for (const letter of "HELO my.o") {
      await new Promise((resolve) => setTimeout(resolve, 400));
      slowCommand.send(letter);
      slowData.send(letter);
    }
    slowCommand.send("\r\n");
    await slowCommand.expect("250 mx.test.example");
    const commits = () => queue.log.flatMap((m) => (m.type === "commit" ? [m.session] : []));
    queue.tell({ type: "accepted", session: commits()[0] ?? 0, id: 7 });
    await waiting.expect("250 ok ");
    slowData.send("\r\n.\r\n");
    await queue.until(() => commits().length === 2);
  }, 20_000);

  test("a peer that was refused may finish what it was saying, slowly, and is not cut off", async () => {
    const { port } = await start();
    const c = client(port);
    c.socket.allowHalfOpen = true;
    await toData(c);
    c.send("bare\nline");
    await c.expect("550 bare LF");
    for (let part = 0; part < 14; part++) {
      await new Promise((resolve) => setTimeout(resolve, 500));
      c.send("and so on\r\n");
    }
    expect(c.socket.destroyed).toBe(false);
  }, 20_000);

  test("concurrencyincoming refuses the connection above the limit and takes one after a close", async () => {
    const { port } = await start({ concurrencyincoming: "2\n" });
    const [a, b] = [client(port), client(port)];
    await a.expect("220 ");
    await b.expect("220 ");
    const c = client(port);
    await c.expect("421 too many connections");
    await c.closed();
    a.send("QUIT\r\n");
    await a.expect("221 ");
    await a.closed();
    await expect
      .poll(async () => (await client(port).reply()).slice(0, 3), { timeout: 5000 })
      .toBe("220");
  });

  test("control files are read anew for a new connection, not for an open one", async () => {
    const { home, port, log } = await start({ rcpthosts: undefined });
    const old = client(port);
    await old.expect("220 ");
    writeFileSync(join(home, "control", "rcpthosts"), "new.example\n");
    writeFileSync(join(home, "control", "smtpgreeting"), "hello.example hi\n");
    const c = client(port);
    await c.expect("220 hello.example hi ESMTP");
    c.send("MAIL FROM:<>\r\nRCPT TO:<u@new.example>\r\n");
    await c.expect("250 ok", "250 ok");
    old.send("MAIL FROM:<>\r\nRCPT TO:<u@new.example>\r\n");
    await old.expect("250 ok", "553 ");
    expect(log.filter((line) => line.includes("control/rcpthosts is missing"))).toHaveLength(1);
  });

  test.skipIf(!existsSync("/usr/bin/tcprules"))(
    "tcp.smtp.cdb as tcprules makes it: relay by prefix, databytes, denied by address",
    async () => {
      const { home, port, listener } = await start();
      const rules = (text: string): void => {
        execFileSync("tcprules", [join(home, "control", "tcp.smtp.cdb"), join(home, "tmp")], {
          input: text,
        });
      };
      rules('127.:allow,RELAYCLIENT="@gw.example",DATABYTES="99"\n:deny\n');
      const c = client(port);
      await c.expect("220 ");
      c.send("EHLO x\r\nMAIL FROM:<>\r\nRCPT TO:<u@any.example>\r\n");
      expect(await c.reply()).toContain("250-SIZE 99\r\n");
      await c.expect("250 ok", "250 ok");
      rules('127.0.0.1:deny\n127.:allow,RELAYCLIENT=""\n');
      await client(port).closed();
      const server = await listener.listen({ port: 0, host: "127.0.0.2" });
      const other = new Client(portOf(server), "127.0.0.2", "127.0.0.2");
      cleanups.push(() => void other.socket.destroy());
      await other.expect("220 ");
      other.send("MAIL FROM:<>\r\nRCPT TO:<u@any.example>\r\n");
      await other.expect("250 ok", "250 ok");
    },
  );

  test("without me and smtpgreeting every connection gets 421", async () => {
    const { port } = await start({ me: undefined });
    const c = client(port);
    await c.expect("421 unable to read controls (#4.3.0)");
    await c.closed();
  });
});
