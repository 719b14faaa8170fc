/**
 * NAME         qmail-start - turn on mail delivery
 * SYNOPSIS     qmail-start [defaultdelivery [logger arg ...]]
 * DESCRIPTION  Starts qmail-send, qmail-rspawn, qmail-lspawn and the SMTP
 *              listener, each under its own uid where the qmail accounts
 *              exist, and keeps them running. defaultdelivery is what a
 *              recipient without a .qmail file gets, ./Mailbox when not
 *              given. With a logger the log goes to its standard input, else
 *              to standard output. qmail-setup must have run before.
 *              TERM or INT: takes no more mail in, waits until the running
 *              deliveries end, exits 0. A second one, a second later at the
 *              earliest: puts back what still runs after some seconds, exits
 *              within ten. HUP: qmail-send rereads locals and virtualdomains.
 *              ALRM: everything in the queue is due now.
 * ENVIRONMENT  QMAILHOME the MTA home; var/ of the checkout when unset.
 *              SMTP_LISTEN HOST:PORT[,HOST:PORT] to take mail in by SMTP,
 *              127.0.0.1:2525 when unset; empty: no listener. The children
 *              get PATH, TZ, LANG, LC_*, QMAIL*, EZMLM_* and EZQMAIL_*; in
 *              front of PATH stand our bin/ and, when PATH has another node
 *              or none, the directory of the one that runs us.
 * FILES        control/, users/, queue/
 * EXIT CODES   0 stopped by a signal. 100 wrong use. 111 cannot start, or
 *              qmail-send was lost, also while stopping.
 * DIAGNOSTICS  One line on standard error for each reason not to start, with
 *              the command that mends it where there is one.
 * SEE ALSO     qmail-setup, qmail-send, qmail-lspawn, qmail-rspawn, qmail-smtpd
 */
import { readdirSync } from "node:fs";
import { join } from "node:path";
import { Control } from "../../lib/control.ts";
import { TemporaryError } from "../../lib/errors.ts";
import { SUCCESS } from "../../lib/exit-code.ts";
import { OptionTable } from "../../lib/option.ts";
import type { CommandProcess, Host, Program } from "../../lib/program.ts";
import { type Need, requireAccess } from "./access.ts";
import { childEnvironment } from "./child-environment.ts";
import { type Identities, identities } from "./identity.ts";
import { addressText, defaultListen, parseListen } from "./listen.ts";
import { startLogger } from "./logger.ts";
import { partition } from "./partition.ts";
import { Supervisor } from "./supervisor.ts";
import { newcomerLines } from "./welcome.ts";

const options = new OptionTable("qmail-start", [], "[defaultdelivery [logger arg ...]]");
const defaultDelivery = "./Mailbox";
/** Signals within so many milliseconds are one. */
const SOON_MS = 1000;

export const qmailStart: Program = {
  name: "qmail-start",
  usage: options.usage,
  async run(host) {
    const [delivery = defaultDelivery, ...loggerCommand] = options.parse(host.args).rest;
    const own = host.process;
    if (!own) throw new TemporaryError("runs as a command only");
    let supervisor: Supervisor | undefined;
    own.onSignal("SIGHUP", () => supervisor?.tell({ type: "reread" }));
    own.onSignal("SIGALRM", () => supervisor?.tell({ type: "flush" }));
    checkName(host.home);
    const who = identities(host);
    checkAccess(host, own, who);
    const addresses = await parseListen(host.env.SMTP_LISTEN ?? defaultListen);
    const env = childEnvironment(host, own.execPath);
    const say = (line: string): void => host.stdout.write(`${line}\n`);
    const warn = (line: string): void => host.stderr.write(`qmail-start: ${line}\n`);
    const logger = startLogger(loggerCommand, env, host.cwd);
    const context = {
      home: host.home,
      root: host.root,
      node: own.execPath,
      env,
      defaultDelivery: delivery,
      logFd: logger.fd,
    };
    const here = new Supervisor(context, who, addresses, warn);
    supervisor = here;
    const signalled = stopSignal(own, here, warn);
    const running = async (): Promise<void> => {
      await here.start();
      if (here.stopping) return;
      say(`qmail-start: home ${host.home}`);
      say(`qmail-start: ${who.text}`);
      for (const line of newcomerLines(host, here.listening.map(addressText))) {
        say(`qmail-start: ${line}`);
      }
      say("qmail-start: up");
      await here.lost;
    };
    try {
      await Promise.race([running(), signalled]);
      await here.stopOrderly();
    } finally {
      await here.hurry();
      await logger.end();
    }
    return SUCCESS;
  },
};

/** Resolves at the first TERM or INT. One that comes later hurries; npm and systemd send the first one twice. */
function stopSignal(
  own: CommandProcess,
  supervisor: Supervisor,
  warn: (line: string) => void,
): Promise<void> {
  let firstAt: number | undefined;
  return new Promise<void>((resolve) => {
    const signal = (): void => {
      if (firstAt === undefined) {
        firstAt = performance.now();
        resolve();
        setTimeout(
          () => warn("waits for running deliveries; a second signal puts them back"),
          SOON_MS,
        ).unref();
      } else if (performance.now() - firstAt >= SOON_MS) {
        void supervisor.hurry();
      }
    };
    own.onSignal("SIGTERM", signal);
    own.onSignal("SIGINT", signal);
  });
}

/** Every uid must get to node, to the code and to the home; some must write. One line when not. */
function checkAccess(host: Host, own: CommandProcess, who: Identities): void {
  const { root, home } = host;
  const lists = join(root, "lists");
  const code: Need[] = [
    ["x", own.execPath],
    ["x", join(root, "dist")],
    ["x", join(home, "control")],
  ];
  for (const name of readdirSync(join(home, "control")))
    code.push(["r", join(home, "control", name)]);
  for (const row of partition) {
    const entry: Need = ["r", join(root, "dist", `${row.name}.entry.js`)];
    const writes = row.writes.map((path): Need => ["w", join(home, path)]);
    const owner = who.process(row);
    requireAccess(owner, host, `${row.name} (uid ${owner?.uid ?? host.uid})`, [
      ...code,
      entry,
      ...writes,
    ]);
  }
  const driver = join(root, "node_modules", "better-sqlite3", "package.json");
  const needs: Need[] = [...code, ["r", driver], ["w", join(home, "alias")], ["w", lists]];
  const owner = host.uid === 0 ? who.lists : undefined;
  requireAccess(owner, host, `mail for the lists (uid ${who.lists.uid})`, needs);
}

/** `me` stands in greetings, headers and bounces: it must be there and be one host name. */
function checkName(home: string): void {
  const me = new Control(home).line("me");
  if (me === undefined)
    throw new TemporaryError(`${home}/control/me is missing; run qmail-setup first`);
  if (/^[^\s\p{C}<>@:,;"()]+$/u.test(me)) return;
  throw new TemporaryError(`${home}/control/me must hold one host name, not ${JSON.stringify(me)}`);
}
