/** The built programs: under a real tcpserver, and the listener as a child with inherited sockets. */
import { type ChildProcess, execFile, spawn } from "node:child_process";
import { existsSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer, type Server, type Socket } from "node:net";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { afterAll, afterEach, describe, expect, test } from "vitest";
import { Channel } from "../../../src/mta/channel/channel.ts";
import {
  type ControlMessage,
  readControl,
  writeControl,
} from "../../../src/mta/channel/control-messages.ts";
import { PROTOCOL_VERSION } from "../../../src/mta/channel/protocol.ts";
import { FakeQueue } from "../../support/fake-queue.ts";
import { Client, makeHome, portOf, removeHomes } from "./support.ts";

const root = join(dirname(fileURLToPath(import.meta.url)), "..", "..", "..");
const program = join(root, "bin", "qmail-smtpd");
const hasTcpserver = ["/usr/bin/tcpserver", "/usr/local/bin/tcpserver"].some(existsSync);
const run = promisify(execFile);

const children: ChildProcess[] = [];
const cleanups: (() => Promise<void> | void)[] = [];
afterEach(async () => {
  for (const child of children.splice(0)) child.kill("SIGKILL");
  for (const clean of cleanups.splice(0)) await clean();
});
afterAll(removeHomes);

/** A home whose `qq` appends envelope and message to `got`, or exits with the code in `exit`. */
function homeWithQueue(): string {
  const home = makeHome({}, "queue");
  writeFileSync(
    join(home, "qq"),
    `#!/bin/sh\nif test -f exit; then exit "$(cat exit)"; fi\nexec 5<&1\n(cat; printf '\\n--\\n'; cat <&5 | tr '\\0' '|'; printf '\\n==\\n') >> got\n`,
    { mode: 0o755 },
  );
  return home;
}

/** tcpserver on a free port running the built command; resolves with the port. */
async function tcpserver(home: string, env: Record<string, string> = {}): Promise<number> {
  const child = spawn("tcpserver", ["-1HRl", "loc.host", "127.0.0.1", "0", program], {
    env: { ...process.env, QMAILHOME: home, QMAILQUEUE: join(home, "qq"), ...env },
    stdio: ["ignore", "pipe", "inherit"],
  });
  children.push(child);
  const line = await new Promise<string>((resolve, reject) => {
    child.once("error", reject);
    child.stdout?.once("data", (chunk: Buffer) => resolve(chunk.toString()));
  });
  return Number.parseInt(line, 10);
}

describe.skipIf(!hasTcpserver)("qmail-smtpd under tcpserver", () => {
  test("hands in two messages of one connection and says QUIT", async () => {
    const home = homeWithQueue();
    const c = new Client(await tcpserver(home));
    await c.expect("220 mx.test.example ESMTP");
    c.send("HELO x\r\nMAIL FROM:<a@x>\r\nRCPT TO:<u@test.example>\r\nDATA\r\n");
    await c.expect("250 ", "250 ok", "250 ok", "354 ");
    c.send("one\r\n.\r\nMAIL FROM:<>\r\nRCPT TO:<v@test.example>\r\nDATA\r\n");
    await c.expect("250 ok ", "250 ok", "250 ok", "354 ");
    c.send("two\r\n.\r\nQUIT\r\n");
    await c.expect("250 ok ", "221 mx.test.example");
    await c.closed();
    const got = readFileSync(join(home, "got"), "utf8").split("==\n");
    expect(got[0]).toMatch(
      /^Received: from unknown \(HELO x\) \(127\.0\.0\.1\)\n {2}by loc\.host with SMTP; .* -0000\none\n\n--\nFa@x\|Tu@test\.example\|\|\n$/,
    );
    expect(got[1]).toContain("two\n\n--\nF|Tv@test.example||");
  });

  test("tells the exit code of the queue program: 31 is 554, 53 is 451", async () => {
    const home = homeWithQueue();
    const port = await tcpserver(home, { RELAYCLIENT: "" });
    for (const [exit, said] of [
      ["31", "554 mail server permanently rejected message (#5.3.0)"],
      ["53", "451 qq write error or disk full (#4.3.0)"],
    ] as const) {
      writeFileSync(join(home, "exit"), exit);
      const c = new Client(port);
      await c.expect("220 ");
      c.send("MAIL FROM:<a@x>\r\nRCPT TO:<u@anywhere.example>\r\nDATA\r\n");
      await c.expect("250 ok", "250 ok", "354 ");
      c.send("x\r\n.\r\n");
      await c.expect(said);
      c.socket.destroy();
    }
  });

  test("refuses a bare LF and a peer that did not wait for the banner", async () => {
    const port = await tcpserver(homeWithQueue());
    const c = new Client(port);
    await c.expect("220 ");
    c.send("MAIL FROM:<a@x>\r\nRCPT TO:<u@test.example>\r\nDATA\r\n");
    await c.expect("250 ok", "250 ok", "354 ");
    c.send("x\n.\r\n");
    await c.expect("550 bare LF");
    await c.closed();
    const early = new Client(port);
    early.send("HELO x\r\n");
    await early.expect("554 ");
    await early.closed();
  });
});

test("qmail-newmrh makes a morercpthosts.cdb that qmail-smtpd obeys", async () => {
  const home = makeHome({ morercpthosts: "# more\nMore.example  \n\n.sub.more\n" });
  const env = { ...process.env, QMAILHOME: home };
  await run(join(root, "bin", "qmail-newmrh"), [], { env });
  const talk = run(program, [], { env });
  talk.child.stdin?.end(
    "MAIL\nRCPT TO:<a@more.example>\nRCPT TO:<a@x.sub.more>\nRCPT TO:<a@sub.more>\nQUIT\n",
  );
  const codes = (await talk).stdout.split("\r\n").map((line) => line.slice(0, 3));
  expect(codes).toEqual(["220", "250", "250", "250", "553", "221", ""]);
  rmSync(join(home, "control", "morercpthosts"));
  await expect(run(join(root, "bin", "qmail-newmrh"), [], { env })).rejects.toMatchObject({
    code: 111,
    stderr: expect.stringContaining("unable to read control/morercpthosts"),
  });
});

describe("the listener process", () => {
  interface Listening {
    child: ChildProcess;
    control: Channel<ControlMessage, ControlMessage>;
    queue: FakeQueue;
    port: number;
    exited: Promise<number | null>;
  }

  async function start(
    home = makeHome({}, "queue"),
    env: Record<string, string> = {},
  ): Promise<Listening> {
    const capability = Buffer.alloc(32, 3);
    const queue = await FakeQueue.start({ capability }, join(home, "queue", "intake"));
    const server = await new Promise<Server>((resolve) => {
      const made = createServer().listen(0, "127.0.0.1", () => resolve(made));
    });
    const port = portOf(server);
    // biome-ignore lint/style/noNonNullAssertion: a listening server has a handle
    const { fd } = (server as Server & { _handle?: { fd: number } })._handle!;
    const child = spawn("node", [join(root, "dist", "qmail-smtpd.entry.js")], {
      env: { ...process.env, ...env },
      stdio: ["ignore", "inherit", "inherit", "pipe", fd],
    });
    server.close(); // the child's copy goes on listening
    children.push(child);
    const exited = new Promise<number | null>((resolve) => {
      child.once("exit", (code) => resolve(code));
    });
    const control = await new Promise<Channel<ControlMessage, ControlMessage>>(
      (resolve, reject) => {
        const channel = new Channel<ControlMessage, ControlMessage>(
          child.stdio[3] as unknown as Socket,
          writeControl,
          readControl,
          {
            message: (m) => (m.type === "ready" ? resolve(channel) : reject(new Error(m.type))),
            closed: () => reject(new Error("closed")),
          },
        );
        channel.send({
          type: "start",
          version: PROTOCOL_VERSION,
          home,
          root,
          capability,
          defaultDelivery: "./Maildir/",
          listeners: [{ fd: 4, address: "127.0.0.1" }],
        });
      },
    );
    cleanups.push(() => queue.stop());
    return { child, control, queue, port, exited };
  }

  test("serves on an inherited socket, ignores signals, stops when told", async () => {
    const { child, control, queue, port, exited } = await start();
    for (const signal of ["SIGTERM", "SIGINT", "SIGHUP"] as const) child.kill(signal);
    const { stdout } = await run("swaks", [
      ...["--server", `127.0.0.1:${port}`, "--from", "me@x.example", "--to", "u@test.example"],
      ...["--helo", "swaks.example", "--body", ".leading dot", "--hide-all"],
    ]);
    expect(stdout).toBe("");
    const python = `
import smtplib, email.message
m = email.message.EmailMessage()
m["Subject"] = "py"; m.set_content("line\\n.dot\\n" + "x" * 60 + "\\n")
s = smtplib.SMTP("127.0.0.1", ${port})
for i in range(3):
    assert s.send_message(m, "p@x.example", ["u@test.example", "v@test.example"]) == {}
try:
    s.sendmail("p@x.example", ["no@where.example"], "x")
    raise SystemExit("accepted")
except smtplib.SMTPRecipientsRefused as e:
    assert e.recipients["no@where.example"][0] == 553
s.quit()
`;
    await run("python3", ["-c", python]);
    expect(queue.mails.map((m) => m.recipients.length)).toEqual([1, 2, 2, 2]);
    expect(queue.mails[0]?.body.toString()).toContain("\n.leading dot\n");
    expect(queue.mails[1]?.body.toString()).toMatch(/\nline\n\.dot\nx{60}\n$/);
    control.send({ type: "stop" });
    expect(await exited).toBe(0);
  });

  test("runs the program in QMAILQUEUE instead of the queue", async () => {
    const home = homeWithQueue();
    const { queue, port } = await start(home, { QMAILQUEUE: join(home, "qq") });
    const c = new Client(port);
    await c.expect("220 ");
    c.send("MAIL FROM:<a@x>\r\nRCPT TO:<u@test.example>\r\nDATA\r\n");
    await c.expect("250 ok", "250 ok", "354 ");
    c.send("filtered\r\n.\r\nQUIT\r\n");
    await c.expect("250 ok ", "221 ");
    await c.closed();
    expect(readFileSync(join(home, "got"), "utf8")).toContain("filtered\n\n--\nFa@x|Tu@test");
    expect(queue.mails).toHaveLength(0);
  });

  test("ends when the control channel closes", async () => {
    const { control, port, exited } = await start();
    const c = new Client(port);
    await c.expect("220 ");
    control.destroy();
    await c.expect("421 ");
    expect(await exited).toBe(0);
    await c.closed();
  });
});
