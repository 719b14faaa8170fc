/**
 * The SMTP server as a long-lived process: accepts, counts, gives each connection a session, and
 * drains at the end. Connections above control/concurrencyincoming (100), or above
 * control/concurrencyperip (half of it) from one address that is not this machine, get 421. Rules
 * of tcprules in control/tcp.smtp.cdb deny clients and give them RELAYCLIENT and other variables.
 */
import { createServer, type ListenOptions, type Server } from "node:net";
import { ClockDate } from "../../lib/date822.ts";
import { Deadlines } from "../../lib/deadlines.ts";
import { errorText } from "../../lib/errors.ts";
import { type PeerSocket, StreamSocket } from "../../lib/peer-socket.ts";
import type { Environment } from "../../lib/program.ts";
import type { QueueDoor } from "../../lib/queue-door.ts";
import type { TcpHandles } from "../../lib/tcp-handle.ts";
import { Telltale } from "../../lib/telltale.ts";
import { Connection, turnAway } from "./connection.ts";
import { LocalAddresses } from "./policy.ts";
import { reply } from "./reply.ts";
import { type Settings, SettingsReader, settingsFor } from "./settings.ts";
import { findTcpRule, type TcpRule } from "./tcp-rules.ts";

/** How long a running message may take at shutdown. */
const DRAIN_MS = 3000;
const BACKLOG = 511;

export interface ListenerOptions {
  readonly home: string;
  readonly env: Environment;
  /** The queue for one client, whose variables may name another one. */
  readonly queue: (env: Environment) => QueueDoor | undefined;
  /** Without them connections are sockets of `net`. */
  readonly handles?: TcpHandles | undefined;
  /** One line for the log, without LF. */
  readonly log: (line: string) => void;
  readonly now?: () => Date;
  readonly drainMs?: number;
}

export class SmtpListener {
  private readonly options: ListenerOptions;
  private readonly settings: SettingsReader;
  private readonly addresses = new LocalAddresses(() => Date.now());
  private readonly servers: Server[] = [];
  private readonly connections = new Set<Connection>();
  private readonly deadlines = new Deadlines();
  private readonly now: () => Date;
  private readonly date: ClockDate;
  private readonly perAddress = new Map<string, number>();
  private readonly telltale = new Telltale();
  private isStopping = false;
  private wake: (() => void) | undefined;

  constructor(options: ListenerOptions) {
    this.options = options;
    this.now = options.now ?? (() => new Date());
    this.date = new ClockDate(this.now);
    this.settings = new SettingsReader(options.home, options.env, (text) => this.warn(text));
  }

  /** Listen on an inherited descriptor (`{ fd }`) or a port. Rejects with the system error. */
  listen(where: ListenOptions & { fd?: number }): Promise<Server> {
    const server = createServer({ allowHalfOpen: true, noDelay: true }, (socket) =>
      this.accept(new StreamSocket(socket)),
    );
    this.servers.push(server);
    return new Promise((resolve, reject) => {
      server.once("error", reject);
      server.listen({ backlog: BACKLOG, ...where }, () => {
        server.off("error", reject);
        server.on("error", (error) => this.warn(`unable to accept: ${errorText(error)}`));
        this.options.handles?.takeOver(server, (socket) => this.accept(socket));
        resolve(server);
      });
    });
  }

  /** Accept no more, let running messages end, close. Resolves within drainMs and a second. */
  async stop(): Promise<void> {
    if (this.isStopping) return;
    this.isStopping = true;
    for (const server of this.servers) server.close();
    for (const connection of this.connections) connection.session.stop();
    const drainMs = this.options.drainMs ?? DRAIN_MS;
    const cut = setTimeout(() => {
      for (const connection of this.connections) connection.destroy();
    }, drainMs);
    const end = setTimeout(() => this.wake?.(), drainMs + 1000);
    if (this.connections.size > 0) {
      await new Promise<void>((resolve) => {
        this.wake = resolve;
      });
    }
    clearTimeout(cut);
    clearTimeout(end);
  }

  warn(text: string): void {
    if (this.telltale.isNew(text)) this.options.log(`qmail-smtpd: warning: ${text}`);
  }

  private accept(socket: PeerSocket): void {
    const ip = socket.remoteAddress?.replace(/^::ffff:(?=\d+\.)/, "");
    if (ip === undefined) {
      socket.close(); // gone before we looked
      return;
    }
    const settings = this.readSettings();
    const count = this.perAddress.get(ip) ?? 0;
    const refusal = this.refusal(settings, ip, count);
    if (refusal !== undefined || !settings) {
      turnAway(socket, refusal ?? reply.noControls, this.deadlines);
      return;
    }
    const rule = this.ruleFor(settings, ip);
    if (!rule || rule.isDenied) {
      socket.close();
      return;
    }
    const context = {
      settings: settingsFor(settings, rule.env),
      localIpHost: this.addresses.hostFor(settings),
      peer: { remoteIp: ip, local: settings.me ?? socket.localAddress },
      queue: () => this.options.queue({ ...rule.env, TCPREMOTEIP: ip }),
      now: this.now,
      date: () => this.date.text(),
      warn: (text: string) => this.warn(text),
    };
    const connection = new Connection(socket, context, this.deadlines, () => {
      this.connections.delete(connection);
      const left = (this.perAddress.get(ip) ?? 1) - 1;
      if (left > 0) this.perAddress.set(ip, left);
      else this.perAddress.delete(ip);
      if (this.connections.size === 0) this.wake?.();
    });
    this.connections.add(connection);
    this.perAddress.set(ip, count + 1);
  }

  private readSettings(): Settings | undefined {
    try {
      return this.settings.read(Date.now());
    } catch (error) {
      this.warn(errorText(error));
      return undefined;
    }
  }

  /** Undefined when the rules cannot be read: then nobody is let in, as with tcpserver. */
  private ruleFor(settings: Settings, ip: string): TcpRule | undefined {
    try {
      return findTcpRule(settings.tcpRules, ip);
    } catch (error) {
      this.warn(`unable to read control/tcp.smtp.cdb: ${errorText(error)}`);
      return undefined;
    }
  }

  private refusal(settings: Settings | undefined, ip: string, count: number): string | undefined {
    if (this.isStopping) return reply.stopping;
    if (!settings) return reply.noControls;
    if (this.connections.size >= settings.concurrency) return reply.tooManyConnections;
    const isOwn = ip.startsWith("127.") || ip === "::1";
    if (!isOwn && count >= settings.concurrencyPerAddress) return reply.tooManyFromYou;
    return undefined;
  }
}
