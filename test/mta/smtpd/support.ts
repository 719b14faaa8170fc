/** A session with a recorder for its queue and its wire; homes with control files; SMTP transcripts. */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { connect, type Server, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect } from "vitest";
import { date822 } from "../../../src/lib/date822.ts";
import type { Environment } from "../../../src/lib/program.ts";
import type { QueueDoor, QueueReceipt, Submission } from "../../../src/lib/queue-door.ts";
import { LocalAddresses } from "../../../src/mta/smtpd/policy.ts";
import { SmtpSession } from "../../../src/mta/smtpd/session.ts";
import { loadSettings } from "../../../src/mta/smtpd/settings.ts";

export const NOW = new Date("2026-11-21T01:34:54Z");
export const RECEIVED =
  "Received: from rem.host (HELO x) (id?x@1.2.3.4)\n" +
  "  by loc.host with SMTP; 21 Nov 2026 01:34:54 -0000\n";

const homes: string[] = [];

/** A home whose control files hold these texts; `undefined` leaves a file out. */
export function makeHome(
  files: Record<string, string | Buffer | undefined> = {},
  ...folders: string[]
): string {
  const home = mkdtempSync(join(tmpdir(), "smtpd-home-"));
  homes.push(home);
  for (const folder of ["control", ...folders]) mkdirSync(join(home, folder));
  const all = { me: "mx.test.example\n", rcpthosts: "test.example\n.sub.example\n", ...files };
  for (const [name, text] of Object.entries(all)) {
    if (text !== undefined) writeFileSync(join(home, "control", name), text);
  }
  return home;
}

export function removeHomes(): void {
  for (const home of homes.splice(0)) rmSync(home, { recursive: true, force: true });
}

export interface Recorded {
  sender: string;
  recipients: string[];
  body: Buffer;
}

/** Keeps what was committed; `verdict` may throw instead. */
export class RecorderQueue implements QueueDoor {
  readonly carriesPrefix = false;
  readonly keepsKeys = false;
  readonly mails: Recorded[] = [];
  aborted = 0;
  opened = 0;
  verdict: (mail: Recorded) => QueueReceipt | Promise<QueueReceipt> = () => ({ id: "77" });

  open(): Submission {
    this.opened++;
    const parts: Buffer[] = [];
    const mail: Recorded = { sender: "?", recipients: [], body: Buffer.alloc(0) };
    return {
      put: (bytes) => void parts.push(Buffer.from(bytes as Uint8Array)),
      from: (sender) => {
        mail.sender = sender;
      },
      to: (recipient) => void mail.recipients.push(recipient),
      full: false,
      drained: async () => {},
      commit: async () => {
        mail.body = Buffer.concat(parts);
        const receipt = await this.verdict(mail);
        this.mails.push(mail);
        return receipt;
      },
      abort: () => void this.aborted++,
    };
  }
}

/** One conversation without a socket: say things, read the replies. */
export class Talk {
  readonly queue = new RecorderQueue();
  readonly session: SmtpSession;
  readonly writes: string[] = [];
  readonly warnings: string[] = [];
  said = "";
  code: number | undefined;
  isQueueThere = true;

  constructor(home: string, env: Environment = {}) {
    this.session = new SmtpSession(
      {
        settings: loadSettings(home, env),
        localIpHost: new LocalAddresses(() => 0).hostFor(loadSettings(home, env)),
        peer: {
          remoteHost: "rem.host",
          remoteIp: "1.2.3.4",
          remoteInfo: "id x",
          local: "loc.host",
        },
        queue: () => (this.isQueueThere ? this.queue : undefined),
        now: () => NOW,
        date: () => date822(NOW),
        warn: (text) => void this.warnings.push(text),
      },
      {
        write: (text) => {
          this.writes.push(text);
          this.said += text;
        },
        end: (code) => {
          this.code = code;
        },
        pause: () => {},
        resume: () => {},
      },
    );
    this.session.begin(false);
  }

  /** Bytes in one chunk; returns what was said in answer, after the queue had its turn. */
  async send(bytes: string | Buffer): Promise<string> {
    const before = this.said.length;
    this.session.push(
      typeof bytes === "string" ? Buffer.from(bytes, "latin1") : Buffer.from(bytes),
    );
    await settle();
    return this.said.slice(before);
  }

  /** Up to the 354. */
  async toData(recipient = "u@test.example"): Promise<void> {
    await this.send(`HELO x\r\nMAIL FROM:<s@x.example>\r\nRCPT TO:<${recipient}>\r\n`);
    expect(await this.send("DATA\r\n")).toBe("354 go ahead\r\n");
  }
}

/** Every promise of the recorder has settled. */
export function settle(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

export function portOf(server: Server): number {
  const address = server.address();
  if (address === null || typeof address === "string") throw new Error("no port");
  return address.port;
}

/** An SMTP client that reads like a transcript. */
export class Client {
  readonly socket: Socket;
  log = "";
  private input = "";
  private ended = false;
  private wake: (() => void) | undefined;

  constructor(port: number, host = "127.0.0.1", localAddress = "127.0.0.1") {
    this.socket = connect({ port, host, localAddress });
    this.socket.setNoDelay(true);
    this.socket.on("data", (chunk: Buffer) => {
      this.input += chunk.toString("latin1");
      this.log += chunk.toString("latin1").replace(/^/gm, "S: ");
      this.wake?.();
    });
    const end = (): void => {
      this.ended = true;
      this.wake?.();
    };
    this.socket.on("end", end);
    this.socket.on("error", end);
    this.socket.on("close", end);
  }

  send(bytes: string | Buffer): void {
    this.log += `C: ${typeof bytes === "string" ? bytes : `<${bytes.length} bytes>`}`;
    this.socket.write(typeof bytes === "string" ? Buffer.from(bytes, "latin1") : bytes);
  }

  private async until(ready: () => boolean, limitMs = 10_000): Promise<void> {
    const deadline = Date.now() + limitMs;
    while (!ready()) {
      const leftMs = deadline - Date.now();
      if (leftMs <= 0) throw new Error(`waited in vain\n${this.log}`);
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, leftMs);
        this.wake = () => {
          clearTimeout(timer);
          resolve();
        };
      });
    }
  }

  /** The next whole reply. */
  async reply(): Promise<string> {
    const whole = /^(?:\d{3}-[^\n]*\n)*\d{3} [^\n]*\n/;
    await this.until(() => whole.test(this.input) || this.ended);
    const text = whole.exec(this.input)?.[0];
    if (text === undefined) throw new Error(`connection ended\n${this.log}`);
    this.input = this.input.slice(text.length);
    return text;
  }

  /** Each of these replies, in order; a pattern may be a prefix. */
  async expect(...starts: string[]): Promise<void> {
    for (const start of starts) {
      const text = await this.reply();
      if (!text.startsWith(start)) throw new Error(`not ${start}: ${text}\n${this.log}`);
    }
  }

  /** The server closed; nothing but `rest` was said before. */
  async closed(rest = ""): Promise<void> {
    await this.until(() => this.ended);
    expect(this.input).toBe(rest);
    this.socket.destroy();
  }
}
