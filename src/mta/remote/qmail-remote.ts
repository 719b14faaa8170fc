/**
 * NAME         qmail-remote - send one message to a host
 * SYNOPSIS     qmail-remote HOST SENDER RECIP...
 * DESCRIPTION  Reads a message from stdin and sends it by SMTP to the recipients at HOST, in one
 *              transaction. Prints one record per recipient, then one for the message, each ended by
 *              NUL: r accepted, s temporarily refused, h refused; K sent, Z try again, D do not. When
 *              no server could be asked there is only the last one.
 * FILES        control/helohost control/me control/smtproutes control/timeoutconnect
 *              control/timeoutremote
 * EXIT CODES   0 always; the records tell.
 * SECURITY     Every reply of a server is hostile input.
 * BUGS         HOST is looked up as MX, also when it is the last host of a chain of routes.
 * SEE ALSO     qmail-rspawn
 */
import { tmpdir } from "node:os";
import { join } from "node:path";
import { systemResolver } from "../../lib/dns.ts";
import { TemporaryError } from "../../lib/errors.ts";
import { SUCCESS } from "../../lib/exit-code.ts";
import type { Host, Program } from "../../lib/program.ts";
import { SMALL_BODY } from "../channel/protocol.ts";
import { readRemoteControls } from "./controls.ts";
import { Engine, engineLimits } from "./engine.ts";
import { ownAddressTest } from "./mx.ts";
import { givingUp } from "./outcome-text.ts";
import { TimeoutFile } from "./tcpto.ts";
import type { Outcome } from "./transaction.ts";
import { hostOf } from "./wire-address.ts";
import { collectBody, type WireBody } from "./wire-body.ts";

export const qmailRemote: Program = {
  name: "qmail-remote",
  usage: "qmail-remote HOST SENDER RECIP...",
  async run(host) {
    const [to, sender, ...recipients] = host.args;
    if (to === undefined || sender === undefined || recipients.length === 0) {
      host.stdout.write("DI (qmail-remote) was invoked improperly. (#5.3.5)\n\0");
      return SUCCESS;
    }
    try {
      const outcomes = await send(host, to, sender, recipients);
      host.stdout.write(records(outcomes));
    } catch (error) {
      const text = error instanceof TemporaryError ? error.message : "System error. (#4.3.0)";
      host.stdout.write(`Z${text}\n\0`);
    }
    return SUCCESS;
  },
};

async function send(
  host: Host,
  to: string,
  sender: string,
  recipients: readonly string[],
): Promise<Outcome[]> {
  const controls = readRemoteControls(host.home);
  let body: WireBody;
  try {
    body = await collectBody(host.stdin.chunks(), tmpdir(), SMALL_BODY);
  } catch (cause) {
    throw new TemporaryError("Unable to read message. (#4.3.0)", { cause });
  }
  const engine = new Engine({
    controls: () => controls,
    resolver: systemResolver(),
    isOwn: ownAddressTest(),
    timeouts: new TimeoutFile(join(host.home, "queue", "lock", "tcpto"), host.pid, "shared"),
    limits: { ...engineLimits, mostRecipients: Number.POSITIVE_INFINITY },
    now: () => host.now().getTime(),
    random: Math.random,
  });
  const outcomes: Outcome[] = [];
  const deliveries = recipients.map((address, tag) => ({
    original: address,
    routed: address,
    tag,
  }));
  try {
    await new Promise<void>((resolve, reject) => {
      let left = recipients.length;
      host.signal.addEventListener("abort", () => reject(new TemporaryError("Stopped. (#4.3.0)")), {
        once: true,
      });
      engine.deliver(
        { sites: [{ host: hostOf(`@${to}`), deliveries }], sender, verp: false, body },
        (tag, outcome) => {
          outcomes[tag] = outcome;
          if (--left === 0) resolve();
        },
      );
    });
  } finally {
    engine.close();
    body.release();
  }
  return outcomes;
}

/** Recipient records and the message record; the message record alone when RCPT was never answered. */
export function records(outcomes: readonly Outcome[]): string {
  const refused = outcomes.filter((outcome) => outcome.refusedBy !== undefined);
  const message = outcomes.find((outcome) => outcome.refusedBy === undefined);
  if (message && message.verdict !== "K" && refused.length === 0 && !message.afterRecipients) {
    return `${message.verdict}${message.text}\0`;
  }
  const perRecipient = outcomes.map((outcome) => {
    if (outcome.refusedBy === undefined) return "r\0";
    return `${outcome.verdict === "D" ? "h" : "s"}${outcome.text}\0`;
  });
  const last = message
    ? `${message.verdict}${message.text}\0`
    : `D${givingUp(refused[0]?.refusedBy ?? "")}\0`;
  return perRecipient.join("") + last;
}
