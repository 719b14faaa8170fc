/** A real qmail-rspawn for a real qmail-send. */
import { spawn } from "node:child_process";
import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { dirname, join } from "node:path";
import type { Duplex } from "node:stream";
import { fileURLToPath } from "node:url";
import { Channel } from "../../src/mta/channel/channel.ts";
import {
  type ControlMessage,
  readControl,
  writeControl,
} from "../../src/mta/channel/control-messages.ts";
import { PROTOCOL_VERSION } from "../../src/mta/channel/protocol.ts";
import type { QmailSendProcess } from "./qmail-send.ts";

const entry = join(dirname(fileURLToPath(import.meta.url)), "../../dist/qmail-rspawn.entry.js");

/** Resolves when it takes work, with what kills it. */
export async function startRspawn(send: QmailSendProcess): Promise<() => Promise<void>> {
  const capability = randomBytes(32);
  send.control.send({ type: "announce", capability, role: "remote", uid: 1000 });
  send.control.flush();
  const child = spawn(process.execPath, [entry], {
    stdio: ["ignore", "inherit", "inherit", "pipe"],
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
  return async () => {
    if (child.exitCode !== null || child.signalCode !== null) return;
    child.kill("SIGKILL");
    await once(child, "exit");
  };
}
