/**
 * NAME         qmail-smtpd - receive mail by SMTP
 * SYNOPSIS     qmail-smtpd
 * DESCRIPTION  Holds one SMTP conversation on standard input and standard output and hands the
 *              messages to qmail-queue. Meant to be started by tcpserver, inetd or another UCSPI
 *              server. The long-lived listener that qmail-start runs holds the same conversations
 *              without a process for each.
 *
 *              Speaks ESMTP with PIPELINING, SIZE and 8BITMIME. A message that holds a CR or an LF
 *              by itself is refused with 550 and the connection closed; only CR LF . CR LF ends
 *              a message. A client that sends the message before the reply to DATA, or speaks
 *              before the greeting, is cut off.
 *
 *              A recipient must be in control/rcpthosts or control/morercpthosts.cdb unless
 *              RELAYCLIENT is set. Without control/rcpthosts every recipient is refused. A sender
 *              in control/badmailfrom has every recipient refused.
 * OPTIONS      None.
 * ENVIRONMENT  TCPREMOTEIP TCPREMOTEHOST TCPREMOTEINFO TCPLOCALHOST TCPLOCALIP go into the Received
 *              field. Without TCPREMOTEIP there is no network peer, and commands may come before
 *              the greeting. RELAYCLIENT: any recipient is allowed and gets its value appended.
 *              DATABYTES overrides control/databytes. QMAILQUEUE names another qmail-queue.
 * FILES        control/me, control/smtpgreeting (me), control/localiphost (me),
 *              control/timeoutsmtpd (1200), control/rcpthosts, control/morercpthosts.cdb,
 *              control/badmailfrom, control/databytes (0: no limit). The listener also reads
 *              control/concurrencyincoming (100), control/concurrencyperip (half of it) and
 *              control/tcp.smtp.cdb, made by tcprules: who is denied, and variables by address.
 * EXIT CODES   0 the client said QUIT. 1 anything else. 100 wrong use.
 * STANDARDS    RFC 5321 (SMTP), RFC 1870 (SIZE), RFC 2920 (PIPELINING), RFC 6152 (8BITMIME)
 * BUGS         Replies carry enhanced codes at their end, as qmail's do, so ENHANCEDSTATUSCODES is
 *              not offered. Addresses in UTF-8 are taken although SMTPUTF8 is not offered.
 * SEE ALSO     qmail-queue, qmail-start, qmail-newmrh, qmail-inject
 */
import { date822 } from "../../lib/date822.ts";
import { errorText } from "../../lib/errors.ts";
import type { ExitCode } from "../../lib/exit-code.ts";
import { OptionTable } from "../../lib/option.ts";
import type { Environment, Host, Program } from "../../lib/program.ts";
import { LocalAddresses } from "./policy.ts";
import type { Peer } from "./received.ts";
import { reply } from "./reply.ts";
import { SmtpSession } from "./session.ts";
import { loadSettings, type Settings } from "./settings.ts";

const options = new OptionTable("qmail-smtpd", []);
/** What `sendmail -bs` puts into TCPREMOTEINFO. A network server sets it by RFC 1413, or not at all. */
const localCaller = "sendmail-bs";

export const qmailSmtpd: Program = {
  name: "qmail-smtpd",
  usage: options.usage,
  async run(host) {
    if (options.parse(host.args).rest.length > 0) throw options.error();
    try {
      return await converse(host, loadSettings(host.home, host.env));
    } catch (error) {
      host.stderr.write(`qmail-smtpd: ${errorText(error)}\n`);
      host.stdout.write(reply.noControls);
      return 1;
    }
  },
};

/** UCSPI variables; TCP6 servers set the TCP ones as well. */
function peerOf(env: Environment): Peer {
  return {
    remoteIp: env.TCPREMOTEIP,
    remoteHost: env.TCPREMOTEHOST,
    remoteInfo: env.TCPREMOTEINFO,
    local: env.TCPLOCALHOST || env.TCPLOCALIP,
  };
}

/** A script of one of our own users writes all its commands ahead; only strangers have to wait. */
function hasNetworkPeer({ TCPREMOTEIP, TCPREMOTEINFO }: Environment): boolean {
  return TCPREMOTEIP !== undefined && TCPREMOTEINFO !== localCaller;
}

async function converse(host: Host, settings: Settings): Promise<ExitCode> {
  const warn = (text: string): void => host.stderr.write(`qmail-smtpd: ${text}\n`);
  if (!settings.rcptHosts && settings.relayClient === undefined) {
    warn("control/rcpthosts is missing, so every recipient is refused");
  }
  let finished = (_code: ExitCode): void => {};
  const over = new Promise<ExitCode>((resolve) => {
    finished = resolve;
  });
  let open: (() => void) | undefined;
  let gate: Promise<void> | undefined;
  const session = new SmtpSession(
    {
      settings,
      localIpHost: new LocalAddresses(() => host.now().getTime()).hostFor(settings),
      peer: peerOf(host.env),
      queue: () => host.queue,
      now: () => host.now(),
      date: () => date822(host.now()),
      warn,
    },
    {
      write: (replies) => host.stdout.write(replies),
      end: finished,
      pause() {
        gate ??= new Promise((resolve) => {
          open = resolve;
        });
      },
      resume() {
        open?.();
        gate = undefined;
      },
    },
  );
  const stop = (): void => session.stop();
  host.signal.addEventListener("abort", stop, { once: true });
  const timer = setTimeout(() => session.timeout(), settings.timeoutSeconds * 1000);
  const input = host.stdin.chunks()[Symbol.asyncIterator]();
  try {
    let reading = input.next();
    session.begin(hasNetworkPeer(host.env) && (await isReady(reading)));
    while (!session.isClosed) {
      const next = await Promise.race([reading, over]);
      if (typeof next === "number") break;
      timer.refresh();
      if (next.done) {
        session.end();
        break;
      }
      // The session writes over what it is given, and this may be the buffer of somebody else.
      session.push(Buffer.from(next.value));
      if (session.isClosed) break;
      if (gate) await Promise.race([gate, over]);
      reading = input.next();
    }
    return await over;
  } catch (error) {
    session.lost();
    warn(`unable to read: ${errorText(error)}`);
    return 1;
  } finally {
    clearTimeout(timer);
    host.signal.removeEventListener("abort", stop);
    await host.stdout.flush();
  }
}

/** Whether there was something to read before anything was said. */
async function isReady(reading: Promise<unknown>): Promise<boolean> {
  let ready = false;
  const seen = (): void => {
    ready = true;
  };
  reading.then(seen, seen);
  // As many turns of the loop as a stream takes to start and to look once.
  for (let turn = 0; turn < 3; turn++) await new Promise((resolve) => setImmediate(resolve));
  return ready;
}
