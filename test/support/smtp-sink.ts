/**
 * An SMTP server that does as the test says and keeps what it gets. Recipients act as named: a local
 * part that starts with three digits is answered with that code, `final-NNN` makes that the reply to
 * the message, `drop-final` closes instead of it, `drop-rcpt` closes at RCPT. Anything else can be
 * scripted with `answer`. Strict: bare CR or LF anywhere is recorded as a violation.
 */
import { createServer, type Server, type Socket } from "node:net";
import { type SecureContext, TLSSocket } from "node:tls";

export interface SinkMessage {
  readonly connection: number;
  readonly sender: string;
  /** What stood behind the address of MAIL. */
  readonly parameters: string;
  readonly recipients: readonly string[];
  /** As on the wire, without the final dot, dots not removed. */
  readonly wire: string;
  /** Lines with LF, dots removed. */
  readonly text: string;
}

export interface SinkOptions {
  readonly host?: string;
  readonly port?: number;
  /** Keywords in the reply to EHLO; undefined = EHLO is refused with 502. */
  readonly extensions?: readonly string[] | undefined;
  readonly greeting?: string;
  /** Close after that many messages: `quiet` without a word, else with 421 to the next command. */
  readonly closeAfter?: { readonly messages: number; readonly quiet: boolean };
  /** How replies leave: one byte per write, or many in one. Default: as they come. */
  readonly pacing?: "bytes" | "held";
  /** First say: a reply without CRLF, "close", or undefined for the usual. */
  readonly answer?: (verb: string, argument: string, connection: number) => string | undefined;
  readonly tls?: SecureContext;
  /** Connection, from 0, that is closed instead of the TLS handshake. */
  readonly breaksTls?: number;
  /** Put behind the reply to STARTTLS, in clear. */
  readonly injected?: string;
}

export const usualExtensions = ["PIPELINING", "SIZE 10000000", "8BITMIME", "SMTPUTF8"];

export class SmtpSink {
  readonly messages: SinkMessage[] = [];
  /** Commands of each connection, in order. */
  readonly commands: string[][] = [];
  readonly violations: string[] = [];
  /** Most commands that arrived in one read, per connection. */
  readonly bursts: number[] = [];
  connections = 0;
  open = 0;
  secured = 0;
  /** Of those, TLS sessions that went on from an earlier one. */
  resumed = 0;
  readonly options: SinkOptions;
  private readonly server: Server;
  private readonly sockets = new Set<Socket>();
  private readonly waiting: (() => void)[] = [];

  private constructor(options: SinkOptions) {
    this.options = options;
    this.server = createServer((socket) => this.serve(socket));
  }

  static async start(options: SinkOptions = {}): Promise<SmtpSink> {
    const sink = new SmtpSink({ extensions: usualExtensions, ...options });
    await new Promise<void>((resolve) =>
      sink.server.listen(options.port ?? 0, options.host ?? "127.0.0.1", resolve),
    );
    return sink;
  }

  get port(): number {
    const address = this.server.address();
    return address && typeof address === "object" ? address.port : 0;
  }

  async stop(): Promise<void> {
    for (const socket of this.sockets) socket.destroy();
    await new Promise<void>((resolve) => {
      this.server.close(() => resolve());
    });
  }

  /** Close all connections as a restart would. */
  hangUp(): void {
    for (const socket of this.sockets) socket.destroy();
  }

  /** Resolves once `test` holds; looked at after every event here. */
  until(test: (sink: SmtpSink) => boolean): Promise<void> {
    return new Promise((resolve) => {
      const look = (): void => {
        if (test(this)) resolve();
        else this.waiting.push(look);
      };
      look();
    });
  }

  private event(): void {
    for (const look of this.waiting.splice(0)) look();
  }

  private serve(plain: Socket): void {
    const id = this.connections++;
    this.open++;
    this.commands.push([]);
    this.bursts.push(0);
    this.sockets.add(plain);
    plain.setNoDelay(true);
    plain.on("error", () => {});
    plain.on("close", () => {
      this.open--;
      this.sockets.delete(plain);
      this.event();
    });
    new Session(this, plain, id).begin();
    this.event();
  }

  received(message: SinkMessage): void {
    this.messages.push(message);
    this.event();
  }
}

class Session {
  private readonly sink: SmtpSink;
  private socket: Socket;
  private readonly id: number;
  private input = "";
  private mode: "command" | "data" | "bdat" | "dead" = "command";
  private sender: string | undefined;
  private parameters = "";
  private recipients: string[] = [];
  private body = "";
  private bdatLeft = 0;
  private bdatLast = false;
  private done = 0;
  private out = "";
  private sending = false;

  constructor(sink: SmtpSink, socket: Socket, id: number) {
    this.sink = sink;
    this.socket = socket;
    this.id = id;
  }

  begin(): void {
    const { greeting } = this.sink.options;
    if (greeting === "close") {
      this.socket.destroy();
      return;
    }
    this.listen();
    if (greeting !== "silent") this.say(greeting ?? "220 sink.example ESMTP");
  }

  private listen(): void {
    this.socket.on("error", () => {});
    this.socket.on("data", (chunk: Buffer) => {
      this.input += chunk.toString("latin1");
      const before = this.log.length;
      this.work();
      const burst = this.log.length - before;
      this.sink.bursts[this.id] = Math.max(this.sink.bursts[this.id] ?? 0, burst);
    });
  }

  private get log(): string[] {
    return this.sink.commands[this.id] as string[];
  }

  private say(reply: string): void {
    if (reply === "close") {
      this.mode = "dead";
      this.socket.destroy();
      return;
    }
    this.out += `${reply}\r\n`;
    const { pacing } = this.sink.options;
    if (pacing === undefined) {
      this.socket.write(this.out, "latin1");
      this.out = "";
    } else if (!this.sending) {
      this.sending = true;
      setImmediate(() => this.drip());
    }
  }

  private drip(): void {
    const size = this.sink.options.pacing === "bytes" ? 1 : this.out.length;
    const piece = this.out.slice(0, size);
    this.out = this.out.slice(size);
    if (!this.socket.destroyed) this.socket.write(piece, "latin1");
    if (this.out !== "") setImmediate(() => this.drip());
    else this.sending = false;
  }

  private work(): void {
    for (;;) {
      if (this.mode === "dead") return;
      if (this.mode === "data") {
        const whole = `\r\n${this.input}`;
        const end = whole.indexOf("\r\n.\r\n");
        if (end < 0) return;
        this.body = whole.slice(2, end + 2);
        this.input = whole.slice(end + 5);
        this.mode = "command";
        this.final(this.body, this.body.replace(/(^|\r\n)\./g, "$1"));
        continue;
      }
      if (this.mode === "bdat") {
        const take = this.input.slice(0, this.bdatLeft);
        this.body += take;
        this.input = this.input.slice(take.length);
        this.bdatLeft -= take.length;
        if (this.bdatLeft > 0) return;
        this.mode = "command";
        if (this.recipients.length === 0) this.say("503 RCPT first");
        else if (this.bdatLast) this.final(this.body, this.body);
        else this.say("250 go on");
        continue;
      }
      const end = this.input.indexOf("\n");
      if (end < 0) return;
      const line = this.input.slice(0, end + 1);
      this.input = this.input.slice(end + 1);
      if (!line.endsWith("\r\n")) this.sink.violations.push(`command with a bare LF: ${line}`);
      this.command(line.replace(/\r?\n$/, ""));
    }
  }

  private final(wire: string, text: string): void {
    if (/\r(?!\n)|(?<!\r)\n/.test(wire)) this.sink.violations.push("bare CR or LF in a message");
    const named = this.recipients.map((r) => /^<(?:final-(\d{3})|(drop-final))/.exec(r));
    const acts = named.find((match) => match !== null);
    const message = {
      connection: this.id,
      sender: this.sender ?? "",
      parameters: this.parameters,
      recipients: this.recipients.map((r) => r.replace(/^<|>$/g, "")),
      wire,
      text: text.replaceAll("\r\n", "\n"),
    };
    this.sender = undefined;
    this.recipients = [];
    this.body = "";
    const scripted = this.sink.options.answer?.(".", "", this.id);
    if (acts?.[2]) {
      this.say("close");
      return;
    }
    if (scripted !== undefined) {
      this.say(scripted);
      return;
    }
    if (acts?.[1] && acts[1] !== "250") {
      this.say(`${acts[1]} as you wished`);
      return;
    }
    this.done++;
    this.sink.received(message);
    this.say(`250 2.0.0 ok ${this.done}`);
    const { closeAfter } = this.sink.options;
    if (closeAfter?.quiet && this.done >= closeAfter.messages) {
      this.mode = "dead";
      this.socket.end();
    }
  }

  private command(line: string): void {
    this.log.push(line);
    const [, verb = "", argument = ""] = /^(\S*) ?(.*)$/.exec(line) ?? [];
    const { closeAfter, answer, extensions } = this.sink.options;
    if (closeAfter && !closeAfter.quiet && this.done >= closeAfter.messages && verb !== "QUIT") {
      this.say("421 4.7.0 enough");
      this.mode = "dead";
      this.socket.end();
      return;
    }
    const scripted = answer?.(verb, argument, this.id);
    if (scripted !== undefined && !(verb === "DATA" && scripted.startsWith("354"))) {
      if (verb === "BDAT") this.startBdat(argument, true);
      this.say(scripted);
      if (scripted.startsWith("421")) {
        this.mode = "dead";
        this.socket.end();
      }
      if (verb === "MAIL" && scripted.startsWith("250")) this.mail(argument);
      return;
    }
    switch (verb) {
      case "EHLO":
        if (!extensions) {
          this.say("502 5.5.1 what?");
          return;
        }
        this.say(
          ["sink.example", ...extensions]
            .map((word, at, all) => `250${at < all.length - 1 ? "-" : " "}${word}`)
            .join("\r\n"),
        );
        return;
      case "HELO":
        this.say("250 sink.example");
        return;
      case "STARTTLS":
        this.startTls();
        return;
      case "RSET":
        this.sender = undefined;
        this.recipients = [];
        this.say("250 2.0.0 reset");
        return;
      case "MAIL":
        if (this.sender !== undefined) {
          this.say("503 5.5.1 nested MAIL");
          return;
        }
        this.mail(argument);
        this.say("250 2.1.0 ok");
        return;
      case "RCPT":
        this.recipient(argument.replace(/^TO:/, ""));
        return;
      case "DATA":
        if (this.recipients.length === 0 && scripted === undefined) {
          this.say("503 5.5.1 RCPT first");
          return;
        }
        this.mode = "data";
        this.say(scripted ?? "354 go ahead");
        return;
      case "BDAT":
        this.startBdat(argument, false);
        return;
      case "QUIT":
        this.say("221 2.0.0 bye");
        this.mode = "dead";
        this.socket.end();
        return;
      default:
        this.say("502 5.5.1 what?");
        return;
    }
  }

  private mail(argument: string): void {
    const [, sender = "", parameters = ""] = /^FROM:<(.*?)>(?: (.*))?$/.exec(argument) ?? [];
    this.sender = sender;
    this.parameters = parameters;
    this.recipients = [];
    this.body = "";
  }

  private recipient(path: string): void {
    if (this.sender === undefined) {
      this.say("503 5.5.1 MAIL first");
      return;
    }
    const code = /^<(\d{3})/.exec(path)?.[1];
    if (path.startsWith("<drop-rcpt")) {
      this.say("close");
      return;
    }
    if (code && code !== "250") {
      this.say(`${code} as you wished`);
      return;
    }
    this.recipients.push(path);
    this.say("250 2.1.5 ok");
  }

  private startBdat(argument: string, silent: boolean): void {
    const [size, last] = argument.split(" ");
    if (silent) {
      this.input = this.input.slice(Number(size));
      return;
    }
    this.mode = "bdat";
    this.bdatLeft = Number(size);
    this.bdatLast = last === "LAST";
  }

  private startTls(): void {
    const { tls, injected } = this.sink.options;
    if (!tls) {
      this.say("454 4.7.0 not now");
      return;
    }
    this.socket.write(`220 2.0.0 go ahead\r\n${injected ?? ""}`);
    this.socket.removeAllListeners("data");
    if (this.id === this.sink.options.breaksTls) {
      this.socket.end();
      return;
    }
    const secure = new TLSSocket(this.socket, { isServer: true, secureContext: tls });
    secure.on("secure", () => {
      this.sink.secured++;
      if (secure.isSessionReused()) this.sink.resumed++;
    });
    this.socket = secure;
    this.listen();
  }
}
