/** qmail-rspawn and qmail-send together: mail goes in at the queue and arrives at a server. */
import { spawn } from "node:child_process";
import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { dirname, join } from "node:path";
import type { Duplex } from "node:stream";
import { fileURLToPath } from "node:url";
import { afterEach, expect, it } from "vitest";
import { Channel } from "../../../src/mta/channel/channel.ts";
import {
  type ControlMessage,
  readControl,
  writeControl,
} from "../../../src/mta/channel/control-messages.ts";
import { PROTOCOL_VERSION } from "../../../src/mta/channel/protocol.ts";
import { makeHome, QmailSendProcess } from "../../support/qmail-send.ts";
import { SmtpSink } from "../../support/smtp-sink.ts";

const entry = join(dirname(fileURLToPath(import.meta.url)), "../../../dist/qmail-rspawn.entry.js");

const cleanup: (() => Promise<unknown> | unknown)[] = [];
afterEach(async () => {
  for (const undo of cleanup.splice(0).reverse()) await undo();
});

async function startRspawn(send: QmailSendProcess): Promise<void> {
  const capability = randomBytes(32);
  send.control.send({ type: "announce", capability, role: "remote", uid: 1000 });
  send.control.flush();
  const child = spawn(process.execPath, [entry], {
    stdio: ["ignore", "inherit", "inherit", "pipe"],
  });
  cleanup.push(async () => {
    if (child.exitCode !== null) return;
    child.kill("SIGKILL");
    await once(child, "exit");
  });
  await new Promise<void>((resolve, reject) => {
    const control = new Channel<ControlMessage, ControlMessage>(
      child.stdio[3] as Duplex,
      writeControl,
      readControl,
      {
        message: (message) => (message.type === "ready" ? resolve() : undefined),
        closed: () => reject(new Error("qmail-rspawn is gone")),
      },
    );
    control.send({
      type: "start",
      version: PROTOCOL_VERSION,
      home: send.home,
      root: send.home,
      capability,
      defaultDelivery: "",
      listeners: [],
    });
  });
}

it("qmail-rspawn gets large bodies over a second connection while its work goes on", async () => {
  const sink = await SmtpSink.start();
  cleanup.push(() => sink.stop());
  const { home, remove } = makeHome({ smtproutes: `:127.0.0.1:${sink.port}` });
  cleanup.push(remove);
  const send = new QmailSendProcess(home);
  cleanup.push(() => send.kill());
  expect(await send.started(), send.log).toBe(true);
  await startRspawn(send);
  const smtpd = await send.peer("smtpd", 77, "intake");
  const large = `Subject: large\n\n${`${"x".repeat(70)}\n`.repeat(3000)}`;
  const to = ["a@one.test", "b@two.test", "550c@two.test"];
  await smtpd.submit({ from: "l-@local.test-@[]", to, body: large });
  await smtpd.submit({ from: "joe@x.test", to: ["d@one.test"], body: "Subject: small\n\nx\n" });
  await sink.until((s) => s.messages.length === 3);
  await send.line(/end msg 2\n/);
  expect(sink.messages.map((m) => `${m.sender} ${m.recipients.join()}`).sort()).toEqual([
    "joe@x.test d@one.test",
    "l-a=one.test@local.test a@one.test",
    "l-b=two.test@local.test b@two.test",
  ]);
  for (const message of sink.messages.filter((m) => m.sender.startsWith("l-"))) {
    expect(message.text.endsWith(large)).toBe(true);
  }
  await send.line(/failure: 127.0.0.1_does_not_like_recipient./);
  expect(send.log).not.toContain("lost qmail-rspawn");
});
