/**
 * The throw-away site of the demo: a home, a lists directory, a Maildir that catches the mail of
 * every `.test` domain but ours, and the server on a free port. Everything is below one temporary
 * directory that `close` removes.
 */
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import {
  chmodSync,
  chownSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { createConnection, createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { TemporaryError } from "../lib/errors.ts";
import type { Host } from "../lib/program.ts";

/** What still runs then is put back. */
const IMPATIENT_MS = 10_000;
/** The account that root's demo runs as: nobody. */
const NOBODY = 65534;

export interface CommandResult {
  readonly output: string;
  readonly code: number;
}

/** What the site needs of the program that runs it. */
export type SiteHost = Pick<Host, "root" | "uid" | "gid" | "env">;

export class DemoSite {
  readonly base: string;
  readonly home: string;
  readonly lists: string;
  readonly mailbox: string;
  port = 0;
  private readonly host: SiteHost;
  private server: ChildProcess | undefined;
  private log = "";

  constructor(host: SiteHost) {
    this.host = host;
    this.base = mkdtempSync(join(tmpdir(), "ezqmail-demo-"));
    chmodSync(this.base, 0o755);
    this.home = join(this.base, "home");
    this.lists = join(this.base, "lists");
    this.mailbox = join(this.base, "mail", "Maildir");
    const folders = ["home", "home/control", "home/users", "lists", "mail", "mail/Maildir"];
    for (const name of ["new", "cur", "tmp"]) folders.push(`mail/Maildir/${name}`);
    for (const name of folders) mkdirSync(join(this.base, name));
    const root = host.uid === 0;
    const [uid, gid] = root ? [NOBODY, NOBODY] : [host.uid, host.gid];
    const files: Record<string, string> = {
      "home/control/me": "list.test\n",
      "home/control/locals": "list.test\n",
      "home/control/rcpthosts": "list.test\n.test\n",
      "home/control/virtualdomains": ".test:readers\n",
      "home/users/assign": `+readers-:alias:${uid}:${gid}:${join(this.base, "mail")}:-::\n+:alias:${uid}:${gid}:${this.lists}:-::\n.\n`,
      "mail/.qmail-default": "./Maildir/\n",
    };
    for (const [name, text] of Object.entries(files))
      writeFileSync(join(this.base, name), text, { mode: 0o644 });
    if (root)
      for (const name of ["", ...folders, ...Object.keys(files)])
        chownSync(join(this.base, name), uid, gid);
  }

  private get env(): Record<string, string> {
    const { PATH, HOME, LANG } = this.host.env;
    const env: Record<string, string> = {
      QMAILHOME: this.home,
      PATH: PATH ?? "/usr/local/bin:/usr/bin:/bin",
    };
    if (HOME) env.HOME = HOME;
    if (LANG) env.LANG = LANG;
    return env;
  }

  /** Start the server; resolves when it listens. */
  async start(): Promise<void> {
    this.port = await freePort();
    const env = { ...this.env, SMTP_LISTEN: `127.0.0.1:${this.port}` };
    const setup = spawnSync(join(this.host.root, "bin", "qmail-setup"), [], {
      env,
      encoding: "utf8",
    });
    if (setup.status !== 0) throw new TemporaryError(`${setup.stdout}${setup.stderr}`.trim());
    const server = spawn(join(this.host.root, "bin", "qmail-start"), [], {
      env,
      stdio: ["ignore", "pipe", "pipe"],
    });
    this.server = server;
    const note = (chunk: Buffer): void => {
      this.log = (this.log + chunk.toString()).slice(-20_000);
    };
    server.stdout.on("data", note);
    server.stderr.on("data", note);
    await this.waitFor("the server", () => {
      if (server.exitCode !== null)
        throw new TemporaryError(`The server did not start:\n${this.log}`);
      return answers(this.port);
    });
  }

  /** Run one of the commands as a user would, from the directory above `lists`. */
  run(name: string, ...args: string[]): CommandResult {
    return this.pipe("", name, ...args);
  }

  /** The same with something on its standard input. */
  pipe(input: string, name: string, ...args: string[]): CommandResult {
    const done = spawnSync(join(this.host.root, "bin", name), args, {
      env: this.env,
      cwd: this.base,
      encoding: "utf8",
      input,
    });
    return { output: `${done.stdout}${done.stderr}`, code: done.status ?? 111 };
  }

  /** Wait until `ready` holds; the delay between looks is for the file system, not for luck. */
  async waitFor(
    what: string,
    ready: () => boolean | Promise<boolean>,
    limitMs = 8000,
  ): Promise<void> {
    const until = Date.now() + limitMs;
    while (!(await ready())) {
      if (Date.now() > until)
        throw new TemporaryError(
          `Waited in vain for ${what}. The log ends:\n${this.log.slice(-2000)}`,
        );
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
  }

  /** Names of the mail that has arrived, oldest first. */
  arrived(): string[] {
    return readdirSync(join(this.mailbox, "new")).sort();
  }

  /** Names in a directory below the site; none when it does not exist. */
  files(path: string): string[] {
    const dir = join(this.base, path);
    return existsSync(dir) ? readdirSync(dir) : [];
  }

  /** What `echo … > path` does, with the owner the list has. */
  write(path: string, text: string): void {
    const file = join(this.base, path);
    writeFileSync(file, text);
    const { uid, gid } = statSync(join(file, ".."));
    chownSync(file, uid, gid);
  }

  /** Pass a signal to the server. */
  signal(name: NodeJS.Signals): void {
    this.server?.kill(name);
  }

  /** End the server as Ctrl-C does; resolves with its exit code. */
  async stop(): Promise<number | null> {
    const { server } = this;
    if (!server || server.exitCode !== null) return server?.exitCode ?? null;
    const gone = new Promise((resolve) => server.once("exit", resolve));
    server.kill("SIGTERM");
    const again = setInterval(() => server.kill("SIGTERM"), IMPATIENT_MS);
    await gone;
    clearInterval(again);
    return server.exitCode;
  }

  /** What the server has printed lately. */
  get recentLog(): string {
    return this.log;
  }

  async close(): Promise<void> {
    await this.stop();
    rmSync(this.base, { recursive: true, force: true });
  }
}

async function freePort(): Promise<number> {
  const probe = createServer();
  await new Promise<void>((resolve) => probe.listen(0, "127.0.0.1", resolve));
  const address = probe.address();
  await new Promise((resolve) => probe.close(resolve));
  if (address === null || typeof address === "string")
    throw new TemporaryError("No port to listen on. (#4.3.0)");
  return address.port;
}

async function answers(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = createConnection(port, "127.0.0.1");
    socket.once("data", () => {
      socket.end("QUIT\r\n");
      resolve(true);
    });
    socket.once("error", () => resolve(false));
  });
}
