/**
 * A checkout whose children are scripts that only speak the control channel and write down how they
 * were started, so that the work of qmail-start can be seen without a mail system behind it.
 */
import {
  chmodSync,
  chownSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { bufferInput } from "../../../src/lib/message-input.ts";
import { type Host, type Output, runProgram } from "../../../src/lib/program.ts";
import { qmailSetup } from "../../../src/mta/start/qmail-setup.ts";
import { qmailStart } from "../../../src/mta/start/qmail-start.ts";

const child = `
import { appendFileSync, readFileSync } from "node:fs";
import { basename } from "node:path";
import { createServer, Socket } from "node:net";
const name = basename(process.argv[1], ".entry.js");
const home = process.env.QMAILHOME;
const note = (what) => appendFileSync(home + "/queue/notes", JSON.stringify({ name, pid: process.pid, ...what }) + "\\n");
const control = new Socket({ fd: 3 });
let data = Buffer.alloc(0);
const frame = (type) => { const b = Buffer.alloc(5); b.writeUInt32LE(1); b[4] = type; control.write(b); };
control.on("data", (chunk) => {
  data = Buffer.concat([data, chunk]);
  while (data.length >= 4 && data.length >= 4 + data.readUInt32LE()) {
    const size = data.readUInt32LE();
    const f = data.subarray(4, 4 + size);
    data = data.subarray(4 + size);
    if (f[0] === 1) {
      const status = readFileSync("/proc/self/status", "utf8");
      note({ event: "start", uid: /^Uid:\\t(.*)/m.exec(status)[1].split("\\t"), groups: /^Groups:\\t(.*)/m.exec(status)[1].trim(), env: Object.keys(process.env).sort() });
      if (name === "qmail-smtpd") createServer((s) => s.end("220 fake " + process.pid + "\\r\\n")).listen({ fd: 4 }, () => frame(3));
      else if (name === process.env.EZQMAIL_SLOW) {}
      else if (name !== process.env.EZQMAIL_BROKEN) frame(3);
      else { const t = Buffer.from("queue is of a newer version"); const b = Buffer.alloc(9); b.writeUInt32LE(5 + t.length); b[4] = 4; b.writeUInt32LE(t.length, 5); control.write(Buffer.concat([b, t]), () => process.exit(111)); }
    } else if (f[0] === 2) note({ event: "announce", role: f[37] });
    else if (f[0] === 5) { note({ event: "stop" }); if (name === process.env.EZQMAIL_DIES) process.kill(process.pid, "SIGKILL"); if (name === process.env.EZQMAIL_SLOW) process.exit(111); if (name === "qmail-send") console.log("status: exiting"); process.exit(0); }
    else note({ event: f[0] === 6 ? "reread" : "flush" });
  }
});
control.on("close", () => process.exit(1));
`;

export interface Note {
  readonly name: string;
  readonly pid: number;
  readonly event: string;
  readonly uid?: string[];
  readonly groups?: string;
  readonly env?: string[];
  readonly role?: number;
}

export class FakeSite {
  readonly root = mkdtempSync(join(tmpdir(), "ezqmail-site-"));
  readonly home = join(this.root, "var");
  out = "";
  err = "";
  private readonly signals = new Map<string, () => void>();
  private running: Promise<number> | undefined;
  readonly uid: number;

  /** `uid`: who owns the site; children are to run as that one. */
  constructor(uid: number) {
    this.uid = uid;
    chmodSync(this.root, 0o755);
    mkdirSync(join(this.root, "dist"));
    mkdirSync(join(this.root, "lists"));
    mkdirSync(join(this.root, "bin"));
    mkdirSync(join(this.root, "node_modules", "better-sqlite3"), { recursive: true });
    writeFileSync(join(this.root, "node_modules", "better-sqlite3", "package.json"), "{}");
    for (const name of ["qmail-send", "qmail-rspawn", "qmail-lspawn", "qmail-smtpd"]) {
      writeFileSync(join(this.root, "dist", `${name}.entry.js`), child);
    }
    writeFileSync(join(this.root, "dist", "package.json"), '{"type":"module"}');
    if (process.getuid?.() === 0) chownSync(join(this.root, "lists"), uid, uid);
  }

  host(args: string[], env: Record<string, string> = {}): Host {
    const output = (add: (text: string) => void): Output => ({
      write: (data) => add(typeof data === "string" ? data : Buffer.from(data).toString()),
      flush: async () => {},
    });
    return {
      args,
      env: { PATH: process.env.PATH, SMTP_LISTEN: "127.0.0.1:0", ...env },
      cwd: this.root,
      stdin: bufferInput(""),
      stdout: output((text) => {
        this.out += text;
      }),
      stderr: output((text) => {
        this.err += text;
      }),
      queue: {
        carriesPrefix: false,
        keepsKeys: false,
        open: () => {
          throw new Error("no queue here");
        },
      },
      commands: {
        exec: () => Promise.reject(new Error("none")),
        shell: () => Promise.reject(new Error("none")),
      },
      signal: new AbortController().signal,
      home: this.home,
      root: this.root,
      uid: process.getuid?.() ?? 0,
      gid: process.getgid?.() ?? 0,
      pid: process.pid,
      process: {
        execPath: process.execPath,
        onSignal: (name, listener) => this.signals.set(name, listener),
      },
      now: () => new Date(),
    };
  }

  setup(): Promise<number> {
    return runProgram(qmailSetup, this.host([]));
  }

  /** Starts it; resolves when it says that it is up, or with the exit code when it ended before. */
  async start(env: Record<string, string> = {}, args?: string[]): Promise<number | "up"> {
    const log = join(this.root, "log");
    const command = args ?? ["./Maildir/", "sh", "-c", `cat > ${log}`];
    this.running = runProgram(qmailStart, this.host(command, env));
    const up = this.until(() => this.out.includes("qmail-start: up\n")).then(() => "up" as const);
    return Promise.race([this.running, up]);
  }

  signal(name: "SIGTERM" | "SIGHUP" | "SIGALRM"): void {
    this.signals.get(name)?.();
  }

  /** The exit code, once it ends by itself. */
  async ended(): Promise<number | undefined> {
    return this.running;
  }

  async end(): Promise<number | undefined> {
    this.signal("SIGTERM");
    return this.running;
  }

  notes(event?: string): Note[] {
    const lines = (() => {
      try {
        return readFileSync(join(this.home, "queue", "notes"), "utf8").split("\n");
      } catch {
        return [];
      }
    })();
    const all = lines.filter((line) => line !== "").map((line) => JSON.parse(line) as Note);
    return event ? all.filter((note) => note.event === event) : all;
  }

  get port(): number {
    return Number(/SMTP on 127\.0\.0\.1:(\d+)/.exec(this.out)?.[1]);
  }

  get log(): string {
    return readFileSync(join(this.root, "log"), "utf8");
  }

  async until(condition: () => boolean): Promise<void> {
    const limit = performance.now() + 15_000;
    while (!condition()) {
      if (performance.now() > limit) throw new Error(`not in time\n${this.out}\n${this.err}`);
      await sleep(20);
    }
  }

  async remove(): Promise<void> {
    await this.end();
    rmSync(this.root, { recursive: true, force: true });
  }
}
