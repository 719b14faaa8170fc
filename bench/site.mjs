/** A throw-away site for measurements: a home, a lists directory and the running server. */
import { spawn, spawnSync } from "node:child_process";
import {
  chmodSync,
  chownSync,
  closeSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { Log } from "./log.mjs";
import { ProcessTree, sleep } from "./measure.mjs";
import { freePort, post, reachable } from "./smtp.mjs";

export const root = join(dirname(fileURLToPath(import.meta.url)), "..");
const nobody = 65534;
const isRoot = process.getuid() === 0;
/** What qmail-send writes when a remote recipient has taken a copy, and a Maildir one. */
export const taken = ": success: 127.0.0.1_accepted";
export const filed = ": success: did_1+0+0";

/**
 * A new directory among inodes of its own. ext4 does not give a deleted inode away again for some
 * minutes, and looks at every such inode when a file is made near it: after a run that made and removed
 * thousands of files, making one costs 0.7 ms instead of 0.02. Below a directory with the attribute T
 * each new directory goes to another part of the disk.
 */
export function freshDirectory(prefix) {
  const top = join(tmpdir(), "ezqmail-bench");
  mkdirSync(top, { recursive: true });
  spawnSync("chattr", ["+T", top], { stdio: "ignore" });
  const directory = mkdtempSync(join(top, prefix));
  chmodSync(directory, 0o755);
  return directory;
}

export class Site {
  /**
   * `control` = control files over the usual ones; `assign(base)` = lines in front of those of users/assign;
   * `accounts`: as if the qmail accounts existed, each process has its own and local users theirs. Needs root.
   */
  constructor(control = {}, { assign = () => "", accounts = false } = {}) {
    this.base = freshDirectory("site-");
    this.accounts = accounts;
    this.home = join(this.base, "home");
    this.lists = join(this.base, "lists");
    this.mail = join(this.base, "mail");
    for (const dir of [this.home, this.lists, join(this.home, "control"), join(this.home, "users")])
      mkdirSync(dir);
    for (const dir of ["tmp", "new", "cur"])
      mkdirSync(join(this.mail, "Maildir", dir), { recursive: true });
    writeFileSync(join(this.mail, ".qmail-default"), "./Maildir/\n");
    const uid = isRoot ? nobody : process.getuid();
    const gid = isRoot ? nobody : process.getgid();
    const files = {
      me: "bench.test",
      locals: "bench.test",
      rcpthosts: "bench.test\nlocal.test\nremote.test",
      virtualdomains: "local.test:mail",
      concurrencyincoming: "200",
      ...control,
    };
    for (const [name, text] of Object.entries(files))
      writeFileSync(join(this.home, "control", name), `${text}\n`);
    writeFileSync(
      join(this.home, "users", "assign"),
      `${assign(this.base)}+mail-:alias:${uid}:${gid}:${this.mail}:-::\n+:alias:${uid}:${gid}:${this.lists}:-::\n.\n`,
    );
    const owned = accounts ? this.mail : this.base;
    if (isRoot) spawnSync("chown", ["-R", `${uid}:${gid}`, owned]);
    this.uid = uid;
    this.env = { ...process.env, QMAILHOME: this.home };
  }

  /** Run a command of ours; throws unless it exits 0. */
  command(name, args, options = {}) {
    const run = spawnSync(join(root, "bin", name), args, {
      env: this.env,
      maxBuffer: 1 << 28,
      ...options,
    });
    if (run.status !== 0) throw new Error(`${name}: exit ${run.status}: ${run.stderr}`);
    return run;
  }

  /** Start the server and wait until it is up; resolves with how long that took, in ms. */
  async start() {
    this.port = await freePort();
    const env = { ...this.env, SMTP_LISTEN: `127.0.0.1:${this.port}` };
    this.profile = process.env.PROFILE && profileDirectory(this.uid);
    if (this.profile) env.EZQMAIL_PROFILE = this.profile;
    const [setupCommand, ...setupArgs] = this.#command("qmail-setup");
    const setup = spawnSync(setupCommand, setupArgs, { env, encoding: "utf8" });
    if (setup.status !== 0) throw new Error(`qmail-setup: ${setup.stdout}${setup.stderr}`);
    const path = join(this.base, "log");
    const fd = openSync(path, "w"); // a second start has a log of its own
    this.log = new Log(path);
    const up = this.log.occurrences("status: local 0/", 1, 60_000);
    const began = performance.now();
    const [command, ...args] = this.#command("qmail-start");
    this.child = spawn(command, args, { env, stdio: ["ignore", fd, fd] });
    closeSync(fd);
    this.tree = new ProcessTree(this.child.pid);
    await up;
    await reachable(this.port);
    return performance.now() - began;
  }

  /** How to run a program of the server; with accounts in a passwd file that only it sees. */
  #command(program) {
    const path = join(root, "bin", program);
    if (!this.accounts) return [path];
    const passwd = join(this.base, "passwd");
    const names = ["alias", "qmaild", "qmailq", "qmailr"];
    const lines = names.map((name, n) => `${name}:x:${7791 + n}:7791::/nonexistent:/bin/false\n`);
    writeFileSync(passwd, readFileSync("/etc/passwd", "latin1") + lines.join(""));
    const script = `mount --bind "$0" /etc/passwd && exec "$1"`;
    return ["unshare", "--mount", "sh", "-c", script, passwd, path];
  }

  /** A list NAME@bench.test with these subscribers; ms that adding them took. */
  list(name, subscribers) {
    const dir = join(this.lists, name);
    this.command("ezmlm-make", [dir, join(this.lists, `.qmail-${name}`), name, "bench.test"]);
    if (subscribers.length === 0) return 0;
    const began = performance.now();
    this.command("ezmlm-sub", [dir], { input: `${subscribers.join("\n")}\n` });
    return performance.now() - began;
  }

  /** Hand a message to so many in with qmail-queue; SMTP takes 10,000 at most. */
  queue(sender, recipients, text) {
    writeFileSync(join(this.base, "message"), text.replaceAll("\r", ""));
    const list = recipients.map((address) => `T${address}\0`).join("");
    writeFileSync(join(this.base, "envelope"), `F${sender}\0${list}\0`);
    const script = `exec "$0" <"$1/message" 1<"$1/envelope"`;
    const args = ["-c", script, join(root, "bin", "qmail-queue"), this.base];
    const { status } = spawnSync("sh", args, { env: this.env });
    if (status !== 0) throw new Error(`qmail-queue: exit ${status}`);
  }

  /** One post to a list of one: processes are started, code is loaded, a connection is open. */
  async warmUp() {
    this.list("warm", ["one@site0.example"]);
    const done = this.log.occurrences(taken);
    await post(this.port, "ann@elsewhere.example", "warm@bench.test");
    await done;
    await sleep(300);
  }

  /** End the server, keep the files. */
  async halt() {
    if (this.child && this.child.exitCode === null) {
      if (this.profile)
        writeFileSync(join(this.profile, "cpu.json"), JSON.stringify(this.tree.cpuSplit()));
      const gone = new Promise((resolve) => this.child.once("exit", resolve));
      this.child.kill("SIGTERM");
      // Nobody waits for what hangs at the end of a measurement.
      const again = setInterval(() => this.child.kill("SIGTERM"), 1500);
      await gone;
      clearInterval(again);
    }
    this.log?.close();
    this.log = undefined;
  }

  async stop() {
    await this.halt();
    rmSync(this.base, { recursive: true, force: true });
  }
}

/** member0@site0.example …: subscribers spread over that many sites. */
export const members = (count, sites = 500) =>
  Array.from({ length: count }, (_, n) => `member${n}@site${n % sites}.example`);

let profiles = 0;
/** With PROFILE=DIR each run leaves its CPU profiles in a directory of its own below DIR. */
function profileDirectory(uid) {
  const dir = join(process.env.PROFILE, String(++profiles));
  mkdirSync(dir, { recursive: true });
  if (isRoot) chownSync(dir, uid, uid);
  return dir;
}
