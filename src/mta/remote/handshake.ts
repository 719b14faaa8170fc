/**
 * From the greeting to the first MAIL: EHLO, HELO where that is refused, STARTTLS where it is
 * offered, AUTH where the route has credentials. A state machine without I/O: each reply gives the
 * next step. RFC 5321 4.1.1.1, RFC 3207, RFC 4954.
 */
import { createHmac } from "node:crypto";
import { outcomes } from "./outcome-text.ts";
import type { Credentials } from "./smtp-route.ts";
import type { Outcome } from "./transaction.ts";

/** What the peer offered in its reply to EHLO. */
export interface Extensions {
  readonly pipelining: boolean;
  readonly chunking: boolean;
  readonly eightBit: boolean;
  readonly size: boolean;
  readonly smtpUtf8: boolean;
  readonly startTls: boolean;
  readonly auth: readonly string[];
}

const noExtensions: Extensions = {
  pipelining: false,
  chunking: false,
  eightBit: false,
  size: false,
  smtpUtf8: false,
  startTls: false,
  auth: [],
};

/** Replies to EHLO that are remembered, and how long one may be. */
const MOST_KNOWN = 1000;
const LONGEST_KNOWN = 1000;

/** What replies to EHLO mean: a server says the same each time. */
export class ExtensionCache {
  private readonly known = new Map<string, Extensions>();

  parse(reply: string): Extensions {
    const before = this.known.get(reply);
    if (before) return before;
    const extensions = parseExtensions(reply);
    if (reply.length > LONGEST_KNOWN) return extensions;
    if (this.known.size >= MOST_KNOWN) this.known.clear();
    this.known.set(reply, extensions);
    return extensions;
  }
}

export function parseExtensions(reply: string): Extensions {
  const offered = new Map<string, string[]>();
  for (const line of reply.split("\n").slice(1)) {
    // `AUTH=` is how some servers spell it for clients of before RFC 4954.
    const [keyword = "", ...parameters] = line.slice(4).trim().toUpperCase().split(/[ =]+/);
    offered.set(keyword, [...(offered.get(keyword) ?? []), ...parameters]);
  }
  return {
    pipelining: offered.has("PIPELINING"),
    chunking: offered.has("CHUNKING"),
    eightBit: offered.has("8BITMIME"),
    size: offered.has("SIZE"),
    smtpUtf8: offered.has("SMTPUTF8"),
    startTls: offered.has("STARTTLS"),
    auth: offered.get("AUTH") ?? [],
  };
}

export type Step =
  | { readonly type: "send"; readonly text: string }
  /** Begin TLS now, then call `secured`. */
  | { readonly type: "tls" }
  | { readonly type: "ready"; readonly extensions: Extensions }
  | { readonly type: "failed"; readonly outcome: Outcome; readonly tryNext: boolean };

export interface HandshakeOptions {
  readonly ip: string;
  readonly heloHost: string;
  readonly useTls: boolean;
  readonly credentials: Credentials | undefined;
  readonly extensions: ExtensionCache;
}

type State = "greeting" | "ehlo" | "helo" | "starttls" | "auth";

export class Handshake {
  private readonly options: HandshakeOptions;
  private state: State = "greeting";
  /** STARTTLS was said: never twice on one connection. */
  private triedTls = false;
  /** TLS stands. */
  private isSecret = false;
  private extensions = noExtensions;
  private mechanism = "";
  private exchanges = 0;

  constructor(options: HandshakeOptions) {
    this.options = options;
  }

  /** `code` as ReplyReader gives it. */
  reply(code: number, text: string): Step {
    const { ip, heloHost } = this.options;
    switch (this.state) {
      case "greeting":
        if (code !== 220) return failed(outcomes.greeting(ip, text), code < 500);
        this.state = "ehlo";
        return { type: "send", text: `EHLO ${heloHost}\r\n` };
      case "ehlo":
        if (code === 250) return this.offered(this.options.extensions.parse(text));
        if (code === 421 || code === 0) return failed(outcomes.hello(ip, text), true);
        this.state = "helo";
        return { type: "send", text: `HELO ${heloHost}\r\n` };
      case "helo":
        if (code !== 250) return failed(outcomes.hello(ip, text), false);
        return this.offered(noExtensions);
      case "starttls":
        if (code === 220) return { type: "tls" };
        // It offers what it does not have: go on in the clear, as without the offer.
        return this.offered({ ...this.extensions, startTls: false });
      case "auth":
        return this.challenge(code, text);
      default:
        return this.state satisfies never;
    }
  }

  /** TLS stands: what was offered in the clear does not count. RFC 3207 4.2. */
  secured(): Step {
    this.state = "ehlo";
    this.isSecret = true;
    this.extensions = noExtensions;
    return { type: "send", text: `EHLO ${this.options.heloHost}\r\n` };
  }

  private offered(extensions: Extensions): Step {
    this.extensions = extensions;
    if (extensions.startTls && this.options.useTls && !this.triedTls) {
      this.state = "starttls";
      this.triedTls = true;
      return { type: "send", text: "STARTTLS\r\n" };
    }
    if (!this.options.credentials) return { type: "ready", extensions };
    this.state = "auth";
    return this.authenticate(this.options.credentials);
  }

  /** Whether nobody on the way can read along: TLS, or a relay (stunnel, say) on this machine. */
  private get isPrivate(): boolean {
    const { ip } = this.options;
    return this.isSecret || ip === "::1" || ip.startsWith("127.");
  }

  private authenticate({ user, password }: Credentials): Step {
    const mechanism = ["CRAM-MD5", "PLAIN", "LOGIN"].find((m) => this.extensions.auth.includes(m));
    if (!mechanism) return failed(outcomes.noAuthentication(this.options.ip), false);
    // Whoever strips STARTTLS from the offer must not get the password for it.
    if (mechanism !== "CRAM-MD5" && !this.isPrivate) {
      return failed(outcomes.noSecrecy(this.options.ip), false);
    }
    this.mechanism = mechanism;
    const initial = mechanism === "PLAIN" ? ` ${base64(`\0${user}\0${password}`)}` : "";
    return { type: "send", text: `AUTH ${mechanism}${initial}\r\n` };
  }

  private challenge(code: number, text: string): Step {
    const { credentials, ip } = this.options;
    if (code === 235) return { type: "ready", extensions: this.extensions };
    this.exchanges++;
    if (code !== 334 || !credentials || this.exchanges > 2) {
      return failed(outcomes.authentication(ip, text), false);
    }
    const { user, password } = credentials;
    if (this.mechanism === "LOGIN") {
      return { type: "send", text: `${base64(this.exchanges === 1 ? user : password)}\r\n` };
    }
    const challenge = Buffer.from(text.slice(4).trim(), "base64");
    const digest = createHmac("md5", password).update(challenge).digest("hex");
    return { type: "send", text: `${base64(`${user} ${digest}`)}\r\n` };
  }
}

function base64(text: string): string {
  return Buffer.from(text).toString("base64");
}

function failed(outcome: Outcome, tryNext: boolean): Step {
  return { type: "failed", outcome, tryNext };
}
