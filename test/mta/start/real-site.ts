/**
 * A copy of the built checkout in a directory of its own, started the way `npm start` does it, with
 * real processes: as root, as an ordinary user, or in a mount namespace where the qmail accounts exist.
 */
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import {
  chmodSync,
  chownSync,
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";

const checkout = join(dirname(fileURLToPath(import.meta.url)), "..", "..", "..");

const accounts = `
alias:x:7790:7793::/nonexistent:/bin/false
qmaild:x:7791:7793::/nonexistent:/bin/false
qmailq:x:7794:7794::/nonexistent:/bin/false
qmailr:x:7795:7794::/nonexistent:/bin/false
`;

export interface StartOptions {
  readonly env?: Record<string, string>;
  /** Run as this uid, by setpriv. */
  readonly uid?: number;
  /** The qmail accounts exist, for this site only. */
  readonly accounts?: true;
}

export class RealSite {
  readonly root = mkdtempSync(join(tmpdir(), "ezqmail-real-"));
  readonly home = join(this.root, "var");
  out = "";
  private server: ChildProcess | undefined;

  constructor(owner?: number) {
    chmodSync(this.root, 0o755);
    cpSync(join(checkout, "dist"), join(this.root, "dist"), {
      recursive: true,
      filter: (path) => !path.endsWith(".map"),
    });
    for (const name of ["node_modules", "templates", "package.json"]) {
      symlinkSync(join(checkout, name), join(this.root, name));
    }
    mkdirSync(join(this.root, "bin"));
    mkdirSync(join(this.root, "lists"));
    for (const name of readdirSync(join(checkout, "bin"))) {
      symlinkSync("../dist/main.cjs", join(this.root, "bin", name));
    }
    if (owner === undefined) return;
    for (const path of [this.root, join(this.root, "lists")]) chownSync(path, owner, owner);
  }

  private command(script: string, { uid, accounts: withAccounts }: StartOptions): string[] {
    const inner = `cd ${this.root} && ${script}`;
    if (withAccounts) {
      const passwd = join(this.root, "passwd");
      writeFileSync(passwd, readFileSync("/etc/passwd", "utf8").trimEnd() + accounts);
      return ["unshare", "--mount", "sh", "-c", `mount --bind ${passwd} /etc/passwd && ${inner}`];
    }
    if (uid === undefined) return ["sh", "-c", inner];
    return ["setpriv", `--reuid=${uid}`, `--regid=${uid}`, "--clear-groups", "sh", "-c", inner];
  }

  private environment(options: StartOptions): NodeJS.ProcessEnv {
    const env = { ...process.env, SMTP_LISTEN: "127.0.0.1:0", ...options.env };
    return { ...env, QMAILHOME: this.home };
  }

  /** Runs a line of shell in the site; its output and exit code. */
  run(script: string, options: StartOptions = {}): { code: number | null; text: string } {
    const [program = "", ...args] = this.command(script, options);
    const done = spawnSync(program, args, { encoding: "utf8", env: this.environment(options) });
    return { code: done.status, text: done.stdout + done.stderr };
  }

  /** What `npm start` runs. Resolves when it is up, or with the exit code when it ended before. */
  async start(options: StartOptions = {}): Promise<number | "up"> {
    const script = "node dist/main.cjs qmail-setup && exec node dist/main.cjs qmail-start";
    const [program = "", ...args] = this.command(script, options);
    const server = spawn(program, args, { env: this.environment(options) });
    this.server = server;
    for (const stream of [server.stdout, server.stderr]) {
      stream.on("data", (chunk: Buffer) => {
        this.out += chunk.toString();
      });
    }
    await this.until(() => this.out.includes("qmail-start: up\n") || server.exitCode !== null);
    return server.exitCode ?? "up";
  }

  /** Every process of the partition that runs, by name. */
  processes(): Map<string, { pid: number; uid: number; parent: number }> {
    const found = new Map<string, { pid: number; uid: number; parent: number }>();
    for (const pid of readdirSync("/proc").filter((name) => /^\d+$/.test(name))) {
      try {
        const line = readFileSync(`/proc/${pid}/cmdline`, "latin1");
        const name = new RegExp(`${this.root}/dist/([\\w-]+)\\.entry\\.c?js`).exec(line)?.[1];
        if (!name) continue;
        const status = readFileSync(`/proc/${pid}/status`, "latin1");
        const uid = Number(/^Uid:\t(\d+)/m.exec(status)?.[1]);
        const parent = Number(/^PPid:\t(\d+)/m.exec(status)?.[1]);
        found.set(name, { pid: Number(pid), uid, parent });
      } catch {
        // It ended while we looked.
      }
    }
    return found;
  }

  /** Messages in the Maildir of the newcomer. */
  delivered(): string[] {
    const folder = join(this.home, "alias", "Maildir", "new");
    if (!existsSync(folder)) return [];
    return readdirSync(folder).map((name) => readFileSync(join(folder, name), "utf8"));
  }

  get port(): number {
    return Number(/SMTP on 127\.0\.0\.1:(\d+)/.exec(this.out)?.[1]);
  }

  async until(condition: () => boolean): Promise<void> {
    const limit = performance.now() + 15_000;
    while (!condition()) {
      if (performance.now() > limit) throw new Error(`not in time:\n${this.out}`);
      await sleep(25);
    }
  }

  async stop(signal: NodeJS.Signals = "SIGTERM"): Promise<number | null | undefined> {
    const { server } = this;
    if (!server || server.exitCode !== null) return server?.exitCode;
    server.kill(signal);
    await once(server, "exit");
    return server.exitCode;
  }

  /** Process of qmail-start, once it has got to where it heeds signals. */
  get starter(): number | undefined {
    return this.processes().has("qmail-send") ? this.server?.pid : undefined;
  }

  async remove(): Promise<void> {
    const stopped = this.stop();
    const impatient = setInterval(() => void this.stop(), 1200);
    await stopped;
    clearInterval(impatient);
    rmSync(this.root, { recursive: true, force: true });
  }
}
