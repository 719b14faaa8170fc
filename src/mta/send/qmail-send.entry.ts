/** The process qmail-send: descriptor 3 is the control channel from qmail-start. See qmail-send.ts. */
import { Socket } from "node:net";
import { setFlagsFromString } from "node:v8";
import { causeText } from "../../lib/errors.ts";
import { Channel } from "../channel/channel.ts";
import { type ControlMessage, readControl, writeControl } from "../channel/control-messages.ts";
import { PROTOCOL_VERSION } from "../channel/protocol.ts";
import { QmailSend } from "./qmail-send.ts";

// qmail-start tells us what they mean; npm, terminals and postmasters may send them to every process.
for (const signal of ["SIGTERM", "SIGINT", "SIGHUP", "SIGALRM", "SIGQUIT"] as const) {
  process.on(signal, () => {});
}
process.umask(0o077);

// V8 lets a heap grow to several times what lives in it. With 1,000,000 messages queued this is 193 MB
// instead of 245, for the same CPU.
setFlagsFromString("--heap-growing-percent=40");

let send: QmailSend | undefined;
const socket = new Socket({ fd: 3, readable: true, writable: true });
const control = new Channel<ControlMessage, ControlMessage>(socket, writeControl, readControl, {
  message: (message) => {
    if (message.type === "start") void start(message);
    else if (message.type === "announce") send?.announce(message.capability, message);
    else if (message.type === "stop") void send?.stop();
    else if (message.type === "hurry") send?.hurry();
    else if (message.type === "reread") void send?.reread();
    else if (message.type === "flush") void send?.flush();
  },
  // Without qmail-start nobody would ever stop us: finish in order.
  closed: () => void (send ? send.stop() : process.exit(111)),
});

async function start(message: ControlMessage & { type: "start" }): Promise<void> {
  if (send) return;
  const here = new QmailSend({
    home: message.home,
    threads: new URL("./", import.meta.url),
    uid: process.getuid?.() ?? 0,
    failpoint: process.env.EZQMAIL_FAILPOINT,
    expireGraceSeconds: Number(process.env.EZQMAIL_EXPIRE_GRACE ?? 600),
    kill: () => process.kill(process.pid, "SIGKILL"),
    exit,
  });
  send = here;
  try {
    if (message.version !== PROTOCOL_VERSION) throw new Error("qmail-start is of another version");
    await here.start();
    control.send({ type: "ready" });
  } catch (error) {
    const text = causeText(error);
    control.send({ type: "failed", text });
    control.flush();
    await here.refuse(text);
  }
}

/** A thread in write(2) cannot be ended in order; everything that matters is committed. */
function exit(code: number, flushed: boolean): void {
  if (flushed) process.exit(code);
  process.kill(process.pid, "SIGKILL");
}
