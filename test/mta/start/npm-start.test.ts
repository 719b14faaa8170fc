import { spawnSync } from "node:child_process";
import {
  chmodSync,
  chownSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { connect } from "node:net";
import { join } from "node:path";
import { afterEach, describe, expect, test } from "vitest";
import { RealSite } from "./real-site.ts";

const root = process.getuid?.() === 0;
const mayUnshare = root && spawnSync("unshare", ["--mount", "true"]).status === 0;

let site: RealSite;
afterEach(() => site.remove());

/** One message by SMTP; resolves to the reply to the final dot. */
function smtp(port: number, from: string, to: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = connect(port, "127.0.0.1");
    const lines = [
      `EHLO x`,
      `MAIL FROM:<${from}>`,
      `RCPT TO:<${to}>`,
      "DATA",
      "Subject: x\r\n\r\nhi\r\n.",
    ];
    let pending = "";
    let last = "";
    socket.on("error", reject);
    socket.on("data", (data: Buffer) => {
      pending += data.toString();
      for (let end = pending.indexOf("\r\n"); end >= 0; end = pending.indexOf("\r\n")) {
        const line = pending.slice(0, end);
        pending = pending.slice(end + 2);
        if (line[3] === "-") continue;
        last = line;
        const next = lines.shift();
        if (next === undefined) {
          socket.end("QUIT\r\n");
          return resolve(last);
        }
        socket.write(`${next}\r\n`);
      }
    });
  });
}

describe("npm start", () => {
  test.runIf(mayUnshare)("as root with the accounts gives each process its own uid", async () => {
    site = new RealSite();
    expect(await site.start({ accounts: true })).toBe("up");
    const uids = Object.fromEntries([...site.processes()].map(([name, { uid }]) => [name, uid]));
    expect(uids).toEqual({
      "qmail-send": 7794,
      "qmail-rspawn": 7795,
      "qmail-lspawn": 0,
      "qmail-smtpd": 7791,
    });
    expect(statSync(join(site.root, "lists")).uid).toBe(7790);
    expect(await smtp(site.port, "joe@x.test", "ann@other.test")).toMatch(/^250 /);
    await site.until(() => site.delivered().length === 1);
    expect(site.processes().get("local-worker")?.uid).toBe(7790);
    expect(await site.stop()).toBe(0);
    // A worker is killed with its channel, and takes a moment to be gone.
    await site.until(() => site.processes().size === 0);
  });

  test.runIf(root)(
    "as root without accounts runs nothing as root, and root may inject",
    async () => {
      site = new RealSite();
      expect(await site.start()).toBe("up");
      expect([...site.processes().values()].map(({ uid }) => uid)).not.toContain(0);
      expect(site.out).toMatch(/every process as uid \d+ \(/);
      const sent = site.run(
        "printf 'To: postmaster\\nSubject: hello\\n\\nhi\\n' | bin/sendmail -t",
      );
      expect(sent).toEqual({ code: 0, text: "" });
      await site.until(() => site.delivered().length === 1);
      expect(site.delivered()[0]).toContain("Received: (qmail 1 invoked by uid 0);");
    },
  );

  test.runIf(root)("as an ordinary user runs everything under that uid", async () => {
    site = new RealSite(54322);
    expect(await site.start({ uid: 54322 })).toBe("up");
    const uids = [...site.processes().values()].map(({ uid }) => uid);
    expect(uids).toEqual([54322, 54322, 54322, 54322]);
    const sent = site.run("echo hi | bin/mailsubj hello ann@anything.test", { uid: 54322 });
    expect(sent).toEqual({ code: 0, text: "" });
    await site.until(() => site.delivered().length === 1);
    expect(site.delivered()[0]).toContain("Delivered-To: anyone-ann@anything.test\n");
  });

  test("what was injected while the server was down is delivered when it comes up", async () => {
    site = new RealSite();
    expect(site.run("node dist/main.cjs qmail-setup").code).toBe(0);
    const sent = site.run("printf 'To: postmaster\\n\\nearly\\n' | bin/qmail-inject");
    expect(sent).toEqual({ code: 0, text: "" });
    expect(readdirSync(join(site.home, "queue", "drop")).length).toBe(1);
    expect(await site.start()).toBe("up");
    await site.until(() => site.delivered().length === 1);
  });

  test("qmail-qread and qmail-qstat ask the server, and say so when there is none", async () => {
    site = new RealSite();
    expect(await site.start()).toBe("up");
    expect(site.run("bin/qmail-qstat")).toEqual({
      code: 0,
      text: "messages in queue: 0\nmessages in queue but not yet preprocessed: 0\n",
    });
    expect(site.run("bin/qmail-qread")).toEqual({ code: 0, text: "" });
    expect(await site.stop()).toBe(0);
    const down = site.run("bin/qmail-qread");
    expect(down.code).toBe(111);
    expect(down.text).toMatch(/^qmail-qread: fatal: no server runs on .*\n$/);
  });

  test("mail flows again after each process but qmail-send was killed", async () => {
    site = new RealSite();
    expect(await site.start()).toBe("up");
    for (const name of ["qmail-lspawn", "qmail-rspawn", "qmail-smtpd"]) {
      const pid = site.processes().get(name)?.pid ?? 0;
      process.kill(pid, "SIGKILL");
      await site.until(() => site.processes().get(name)?.pid !== pid && site.processes().has(name));
    }
    expect(site.run("printf 'To: postmaster\\n\\nhi\\n' | bin/qmail-inject").code).toBe(0);
    await site.until(() => site.delivered().length === 1);
  });

  test("the last line of the log is status: exiting, also after a second signal", async () => {
    site = new RealSite();
    expect(await site.start()).toBe("up");
    const stopped = site.stop("SIGINT");
    void site.stop("SIGTERM");
    expect(await stopped).toBe(0);
    expect(site.out.endsWith("status: exiting\n")).toBe(true);
    await site.until(() => site.processes().size === 0);
  });
});

describe("qmail-setup, a queue of an older qmail", () => {
  test.runIf(mayUnshare)("lets everybody reach the drop directory, and changes hands", async () => {
    site = new RealSite(54322);
    const lock = join(site.home, "queue", "lock");
    for (const path of [join(site.home, "control"), lock]) mkdirSync(path, { recursive: true });
    writeFileSync(join(site.home, "control", "me"), "mail.example.org\n");
    writeFileSync(join(site.home, "control", "locals"), "mail.example.org\n");
    writeFileSync(join(lock, "sendmutex"), "", { mode: 0o600 });
    for (const path of [join(site.home, "queue"), lock]) {
      chownSync(path, 7794, 7794);
      chmodSync(path, 0o750);
    }
    chownSync(join(lock, "sendmutex"), 7796, 7794);
    expect(await site.start({ accounts: true })).toBe("up");
    expect(statSync(join(site.root, "lists")).uid).toBe(7790);
    const mail = "printf 'To: postmaster\\n\\nhi\\n' | bin/qmail-inject";
    expect(site.run(mail, { uid: 54322 })).toEqual({ code: 0, text: "" });
    await site.until(() => site.delivered().length === 1);
    expect(site.delivered()[0]).toContain("invoked by uid 54322)");
  });
});

describe("npm start, refusals", () => {
  test.runIf(root)("a home below a directory the uid may not enter", async () => {
    site = new RealSite();
    chmodSync(site.root, 0o700);
    expect(await site.start()).toBe(111);
    expect(site.out).toMatch(
      /^qmail-setup: fatal: mail \(uid \d+\) cannot get to \S+; mend it with: chmod a\+x \S+\n$/,
    );
    expect(existsSync(site.home)).toBe(false);
  });

  test.runIf(root)("a home that an ordinary user may not write", async () => {
    site = new RealSite();
    expect(await site.start({ uid: 54322 })).toBe(111);
    expect(site.out).toBe(
      `qmail-setup: fatal: cannot set up ${site.home}: access denied; mend it, or set QMAILHOME to a directory of yours\n`,
    );
    expect(existsSync(site.home)).toBe(false);
  });

  test.runIf(root).each(["", "mail example.org", "a@b"])(
    "control/me %j is no host name",
    async (me) => {
      site = new RealSite(54322);
      mkdirSync(join(site.home, "control"), { recursive: true });
      writeFileSync(join(site.home, "control", "me"), `${me}\n`);
      for (const path of [site.home, join(site.home, "control")]) chownSync(path, 54322, 54322);
      expect(await site.start({ uid: 54322 })).toBe(111);
      const line = `qmail-start: fatal: ${site.home}/control/me must hold one host name, not ${JSON.stringify(me)}\n`;
      expect(site.out.endsWith(line)).toBe(true);
    },
  );

  test.runIf(root)("a control file that an ordinary user may not read", async () => {
    site = new RealSite(54322);
    mkdirSync(join(site.home, "control"), { recursive: true });
    const me = join(site.home, "control", "me");
    writeFileSync(me, "mail.example.org\n");
    for (const path of [site.home, join(site.home, "control")]) chownSync(path, 54322, 54322);
    chmodSync(me, 0o600);
    expect(await site.start({ uid: 54322 })).toBe(111);
    expect(site.out).toMatch(
      /\nqmail-start: fatal: Unable to read control\/me: access denied\. .*\n$/,
    );
  });

  test.runIf(root)("lists/ of somebody else: the mending command gives it away", async () => {
    site = new RealSite(54322);
    const lists = join(site.root, "lists");
    mkdirSync(lists, { recursive: true });
    chownSync(lists, 0, 0);
    expect(await site.start({ uid: 54322 })).toBe(111);
    expect(site.out).toContain(`cannot write into ${lists}; mend it with: chown -R 54322:54322 `);
  });

  test("a queue of a newer version", async () => {
    site = new RealSite();
    expect(await site.start()).toBe("up");
    expect(await site.stop()).toBe(0);
    const file = join(site.home, "queue", "queue.db");
    const bump = (version: number) =>
      site.run(
        `node -e 'new (require("better-sqlite3"))("${file}").pragma("user_version=${version}")'`,
      );
    expect(bump(99).code).toBe(0);
    const before = readFileSync(file);
    site.out = "";
    expect(await site.start()).toBe(111);
    const lines = site.out.trim().split("\n");
    expect(lines.filter((line) => line.includes("newer version"))).not.toEqual([]);
    expect(site.out).not.toContain("    at ");
    expect(readFileSync(file).equals(before)).toBe(true);
  });
});
