/** A throw-away site for measurements: a home, a lists directory and the running server. */
import { spawn, spawnSync } from "node:child_process";
import {
  chmodSync,
  chownSync,
  closeSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  readSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

export const root = join(dirname(fileURLToPath(import.meta.url)), "..");
const nobody = 65534;
const isRoot = process.getuid() === 0;

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

/** A port nobody listens on right now. */
export async function freePort() {
  const server = createServer();
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address();
  await new Promise((resolve) => server.close(resolve));
  return port;
}

/** Where Debian's smtp-source and smtp-sink are: POSTFIX_BIN, an unpacked package, or PATH. */
export function postfixTool(name) {
  const places = [process.env.POSTFIX_BIN, "/tmp/postfix/usr/sbin", "/usr/sbin"].filter(Boolean);
  for (const place of places) {
    const path = join(place, name);
    if (!existsSync(path)) continue;
    const libraries = join(place, "..", "lib", "postfix");
    return { path, env: { ...process.env, LD_LIBRARY_PATH: libraries } };
  }
  return undefined;
}

/** smtp-sink on a free port; `stop()` ends it. */
export async function startSink(options = []) {
  const tool = postfixTool("smtp-sink");
  if (!tool)
    throw new Error("smtp-sink not found: unpack Debian's postfix package and set POSTFIX_BIN");
  const port = await freePort();
  const user = isRoot ? ["-u", "nobody"] : [];
  const child = spawn(tool.path, [...user, ...options, `127.0.0.1:${port}`, "1024"], {
    env: tool.env,
    stdio: ["ignore", "ignore", "inherit"],
  });
  await new Promise((resolve) => setTimeout(resolve, 300));
  return { port, pid: child.pid, stop: () => child.kill("SIGTERM") };
}

/** CPU seconds a process has used so far, user and system. */
export function cpuSeconds(pid) {
  const fields = readFileSync(`/proc/${pid}/stat`, "latin1")
    .replace(/^.*\) /, "")
    .split(" ");
  return (Number(fields[11]) + Number(fields[12])) / 100;
}

export function memoryMegabytes(pid) {
  const match = /VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, "latin1"));
  return match ? Math.round(Number(match[1]) / 1024) : 0;
}

/** The server's processes by entry name: `qmail-send` → pid. */
export function processes(startPid) {
  const found = { "qmail-start": startPid };
  const parents = new Set([String(startPid)]);
  for (let round = 0; round < 3; round++) {
    for (const pid of readdirSync("/proc").filter((name) => /^\d+$/.test(name))) {
      try {
        const parent = readFileSync(`/proc/${pid}/stat`, "latin1")
          .replace(/^.*\) /, "")
          .split(" ")[1];
        if (!parents.has(parent)) continue;
        const entry = /([a-z-]+)\.entry\.js/.exec(readFileSync(`/proc/${pid}/cmdline`, "latin1"));
        if (entry) {
          found[entry[1] === "worker" ? `worker ${pid}` : entry[1]] = Number(pid);
          parents.add(pid);
        }
      } catch {
        // It ended while we looked.
      }
    }
  }
  return found;
}

export class Site {
  constructor(control = {}) {
    this.base = freshDirectory("site-");
    this.home = join(this.base, "home");
    this.lists = join(this.base, "lists");
    this.mail = join(this.base, "mail");
    for (const dir of [this.home, this.lists, join(this.home, "control"), join(this.home, "users")])
      mkdirSync(dir);
    spawnSync("mkdir", [
      "-p",
      join(this.mail, "Maildir", "tmp"),
      join(this.mail, "Maildir", "new"),
      join(this.mail, "Maildir", "cur"),
    ]);
    writeFileSync(join(this.mail, ".qmail-default"), "./Maildir/\n");
    const uid = isRoot ? nobody : process.getuid();
    const gid = isRoot ? nobody : process.getgid();
    const files = {
      me: "bench.test",
      locals: "bench.test",
      rcpthosts: "bench.test\nlocal.test",
      virtualdomains: "local.test:mail",
      concurrencyincoming: "200",
      ...control,
    };
    for (const [name, text] of Object.entries(files))
      writeFileSync(join(this.home, "control", name), `${text}\n`);
    writeFileSync(
      join(this.home, "users", "assign"),
      `+mail-:alias:${uid}:${gid}:${this.mail}:-::\n+:alias:${uid}:${gid}:${this.lists}:-::\n.\n`,
    );
    if (isRoot) spawnSync("chown", ["-R", `${uid}:${gid}`, this.base]);
    this.uid = uid;
    this.env = { ...process.env, QMAILHOME: this.home };
  }

  command(name, args, options = {}) {
    return spawnSync(join(root, "bin", name), args, { env: this.env, ...options });
  }

  /** Start the server; lines of its log go to `listeners`. */
  async start() {
    this.port = await freePort();
    const env = { ...this.env, SMTP_LISTEN: `127.0.0.1:${this.port}` };
    if (process.env.PROFILE) env.EZQMAIL_PROFILE = profileDirectory(this.uid);
    const setup = spawnSync("node", [join(root, "dist/main.js"), "qmail-setup"], {
      env,
      encoding: "utf8",
    });
    if (setup.status !== 0) throw new Error(`qmail-setup: ${setup.stdout}${setup.stderr}`);
    // The log goes to a file that is looked at now and then: a reader in a pipe would cost CPU and
    // make the figures worse than they are.
    const log = join(this.base, "log");
    const fd = openSync(log, "a");
    this.child = spawn("node", [join(root, "dist/main.js"), "qmail-start"], {
      env,
      stdio: ["ignore", fd, fd],
    });
    closeSync(fd);
    this.listeners = new Set();
    this.recent = [];
    this.follow(log);
    await this.until((line) => /^status: local 0\//.test(line) || /is up/.test(line), 20_000);
  }

  /** Hand what is appended to the log to the listeners, whole lines only. */
  follow(path) {
    const fd = openSync(path, "r");
    const chunk = Buffer.allocUnsafe(1 << 20);
    let rest = "";
    const look = () => {
      for (let size = readSync(fd, chunk); size > 0; size = readSync(fd, chunk)) {
        const text = rest + chunk.latin1Slice(0, size);
        const end = text.lastIndexOf("\n") + 1;
        rest = text.slice(end);
        const whole = text.slice(0, end);
        for (const count of this.counters) count(whole);
        if (this.listeners.size === 0) continue;
        for (const line of whole.split("\n")) {
          this.recent.push(line);
          if (this.recent.length > 30) this.recent.shift();
          for (const listener of this.listeners) listener(line);
        }
      }
    };
    this.counters = new Set();
    this.timer = setInterval(look, 2);
    this.closeLog = () => {
      clearInterval(this.timer);
      closeSync(fd);
    };
  }

  /** Resolves with the times of the first and the last of `wanted` occurrences of `text` in the log. */
  occurrences(text, wanted, limitMs = 600_000) {
    return new Promise((resolve, reject) => {
      let seen = 0;
      let first = 0;
      const timer = setTimeout(() => {
        this.counters.delete(count);
        reject(new Error(`${seen} of ${wanted} "${text}" within ${limitMs} ms`));
      }, limitMs);
      const count = (lines) => {
        for (let at = lines.indexOf(text); at >= 0; at = lines.indexOf(text, at + text.length))
          seen++;
        if (seen > 0) first ||= performance.now();
        if (seen < wanted) return;
        clearTimeout(timer);
        this.counters.delete(count);
        resolve({ first, last: performance.now() });
      };
      this.counters.add(count);
    });
  }

  /** Resolves with the time (ms, monotonic) at which a log line matched. */
  until(matches, limitMs = 600_000) {
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => {
        this.listeners.delete(look);
        reject(new Error(`nothing within ${limitMs} ms; last lines:\n${this.recent.join("\n")}`));
      }, limitMs);
      const look = (line) => {
        if (!matches(line)) return;
        clearTimeout(timer);
        this.listeners.delete(look);
        resolve(performance.now());
      };
      this.listeners.add(look);
    });
  }

  async stop() {
    if (this.child && this.child.exitCode === null) {
      const gone = new Promise((resolve) => this.child.once("exit", resolve));
      this.child.kill("SIGTERM");
      await gone;
    }
    this.closeLog?.();
    rmSync(this.base, { recursive: true, force: true });
  }
}

let profiles = 0;
/** With PROFILE=DIR each run leaves its CPU profiles in a directory of its own below DIR. */
function profileDirectory(uid) {
  const dir = join(process.env.PROFILE, String(++profiles));
  mkdirSync(dir, { recursive: true });
  if (isRoot) chownSync(dir, uid, uid);
  return dir;
}
