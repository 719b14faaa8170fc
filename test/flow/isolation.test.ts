/** Sites that hang, refuse or crawl, with thousands of messages each way: the others do not notice. */
import { once } from "node:events";
import { createServer, type Server, type Socket } from "node:net";
import { afterEach, expect, test } from "vitest";
import { eventually, makeHome, QmailSendProcess } from "../support/qmail-send.ts";
import { startRspawn } from "../support/rspawn.ts";
import { SmtpSink } from "../support/smtp-sink.ts";

const cleanup: (() => Promise<unknown> | unknown)[] = [];
afterEach(async () => {
  for (const undo of cleanup.splice(0).reverse()) await undo();
});

const body = "Subject: x\n\nx\n";

/** A server that takes connections; what it does with them is up to the test. */
async function listen(serve: (socket: Socket) => void): Promise<number> {
  const sockets = new Set<Socket>();
  const server: Server = createServer((socket) => {
    sockets.add(socket.on("error", () => {}));
    serve(socket);
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  cleanup.push(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  return (server.address() as { port: number }).port;
}

async function start(control: Record<string, string>): Promise<QmailSendProcess> {
  const { home, remove } = makeHome(control);
  cleanup.push(remove);
  const send = new QmailSendProcess(home);
  cleanup.push(() => send.kill());
  expect(await send.started(), send.log).toBe(true);
  return send;
}

test("mail to good sites flows beside 30 that hang and 50 that refuse, and nothing is lost", async () => {
  const good = await SmtpSink.start();
  const fresh = await SmtpSink.start();
  cleanup.push(
    () => good.stop(),
    () => fresh.stop(),
  );
  let hanging = 0;
  const routes = [`good.test:127.0.0.1:${good.port}`, `fresh.test:127.0.0.1:${fresh.port}`];
  const bad: string[] = [];
  for (let site = 0; site < 30; site++) {
    const port = await listen((socket) => {
      hanging++;
      // Some say a line now and then, and never the one that is waited for.
      if (site % 3 === 0) socket.write("220-please wait\r\n");
    });
    routes.push(`hangs${site}.test:127.0.0.1:${port}`);
    bad.push(`u@hangs${site}.test`);
  }
  for (let site = 0; site < 50; site++) {
    routes.push(`refuses${site}.test:127.0.0.1:${site + 1}`);
    bad.push(`u@refuses${site}.test`);
  }
  const send = await start({ smtproutes: routes.join("\n"), concurrencyremote: "20" });
  const smtpd = await send.peer("smtpd", 77, "intake");
  cleanup.push(await startRspawn(send));
  await smtpd.submit({ from: "a@x.test", to: ["first@good.test"], body });
  await good.until((sink) => sink.messages.length === 1);

  const posts = 40;
  for (let post = 0; post < posts; post++) {
    await smtpd.submit({ from: "a@x.test", to: bad, body });
    await smtpd.submit({ from: "a@x.test", to: bad, body, urgency: "bulk" });
  }
  await eventually(() => hanging >= 5, "hanging deliveries");
  for (let sent = 0; sent < 200; sent++) {
    await smtpd.submit({ from: "a@x.test", to: [`u${sent}@good.test`], body });
  }
  await smtpd.submit({ from: "", to: ["new@fresh.test"], body, urgency: "reply" });
  await fresh.until((sink) => sink.messages.length === 1);
  await good.until((sink) => sink.messages.length === 201);
  expect(new Set(good.messages.map((message) => message.recipients.join())).size).toBe(201);
  // They hang still, and each has all of its mail.
  expect(send.log).not.toMatch(/u@hangs\d+\.test.*\n.*success/);
  const status = [...send.log.matchAll(/remote (\d+)\/20/g)].map(([, used]) => Number(used));
  expect(Math.max(...status)).toBeLessThanOrEqual(20);
  const { text } = await send.ask("qread");
  for (const address of bad) {
    expect(text.split(`\tremote\t${address}\n`).length - 1, address).toBe(posts * 2);
  }
});

test("quick local users have their mail while a program sleeps", async () => {
  const send = await start({ concurrencylocal: "10" });
  const smtpd = await send.peer("smtpd", 77, "intake");
  const local = await send.peer("local");
  local.deliver = (work) => (work.recipient.startsWith("sleeper@") ? undefined : "K");
  for (let sent = 0; sent < 90; sent++) {
    await smtpd.submit({ from: "a@x.test", to: ["sleeper@local.test"], body });
    if (sent % 3 === 0) {
      await smtpd.submit({ from: "a@x.test", to: [`user${sent}@local.test`], body });
    }
  }
  await eventually(
    () => local.work.filter((w) => w.recipient.startsWith("user")).length === 30,
    "quick mail",
  );
  expect(local.work.filter((w) => w.recipient === "sleeper@local.test").length).toBeLessThanOrEqual(
    2,
  );
});
