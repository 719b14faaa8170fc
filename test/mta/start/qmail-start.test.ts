import { once } from "node:events";
import {
  chmodSync,
  chownSync,
  existsSync,
  lchownSync,
  linkSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { connect, createServer } from "node:net";
import { dirname, join, relative } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { partition } from "../../../src/mta/start/partition.ts";
import { FakeSite } from "./fake-site.ts";

const root = process.getuid?.() === 0;
const uid = root ? 54321 : (process.getuid?.() ?? 0);

async function greeting(port: number): Promise<string> {
  const socket = connect(port, "127.0.0.1");
  const [data] = await once(socket, "data");
  socket.destroy();
  return String(data);
}

describe("qmail-start", () => {
  let site: FakeSite;
  beforeEach(async () => {
    site = new FakeSite(uid);
    expect(await site.setup()).toBe(0);
  });
  afterEach(() => site.remove());

  test("starts qmail-send first and every row of the partition under the one uid", async () => {
    expect(await site.start({ NODE_OPTIONS: "--no-warnings", EZQMAIL_FAILPOINT: "none" })).toBe(
      "up",
    );
    const started = site.notes("start");
    expect(started.map(({ name }) => name)).toEqual(partition.map(({ name }) => name));
    for (const note of started) {
      expect(note.uid).toEqual([uid, uid, uid, uid].map(String));
      expect(note.env).not.toContain("NODE_OPTIONS");
      expect(note.env).not.toContain("NODE_EXTRA_CA_CERTS");
      expect(note.env).toContain("EZQMAIL_FAILPOINT");
      expect(note.env).toContain("PATH");
      if (root) expect(note.groups).toBe("");
    }
    expect(site.notes("announce").length).toBe(3);
    expect(site.out).toContain(`every process as uid ${uid}`);
  });

  test("hands the listening socket on and never accepts itself", async () => {
    await site.start();
    const pid = site.notes("start").find(({ name }) => name === "qmail-smtpd")?.pid;
    for (let n = 0; n < 20; n++) expect(await greeting(site.port)).toBe(`220 fake ${pid}\r\n`);
  });

  test("starts a process again that died, on the same port", async () => {
    await site.start();
    const first = site.notes("start").find(({ name }) => name === "qmail-smtpd");
    process.kill(first?.pid ?? 0, "SIGKILL");
    await site.until(
      () => site.notes("start").filter(({ name }) => name === "qmail-smtpd").length === 2,
    );
    const second = site.notes("start").findLast(({ name }) => name === "qmail-smtpd");
    await site.until(() => site.err.includes("qmail-smtpd died (killed by SIGKILL)"));
    expect(await greeting(site.port)).toBe(`220 fake ${second?.pid}\r\n`);
  });

  test("stops everything with exit 111 when qmail-send is lost", async () => {
    await site.start();
    const pids = site.notes("start").map(({ pid }) => pid);
    process.kill(pids[0] ?? 0, "SIGKILL");
    expect(await site.ended()).toBe(111);
    expect(site.err).toContain("qmail-start: fatal: lost qmail-send (killed by SIGKILL)");
    for (const pid of pids) expect(() => process.kill(pid, 0)).toThrow();
  });

  test("TERM stops the listener first and qmail-send's last line ends the log", async () => {
    await site.start();
    const pids = site.notes("start").map(({ pid }) => pid);
    site.signal("SIGTERM");
    site.signal("SIGTERM");
    expect(await site.end()).toBe(0);
    const order = site.notes("stop").map(({ name }) => name);
    expect(order.slice(0, 2)).toEqual(["qmail-smtpd", "qmail-send"]);
    expect(order.length).toBe(4);
    expect(site.log.endsWith("status: exiting\n")).toBe(true);
    for (const pid of pids) expect(() => process.kill(pid, 0)).toThrow();
  });

  test("exit 111 and one line when qmail-send dies while it stops", async () => {
    await site.start({ EZQMAIL_DIES: "qmail-send" });
    expect(await site.end()).toBe(111);
    expect(site.err).toBe(
      "qmail-start: fatal: lost qmail-send while stopping (killed by SIGKILL)\n",
    );
    expect(site.notes("stop").length).toBe(4);
  });

  test("TERM before qmail-send serves is an orderly stop", async () => {
    const started = site.start({ EZQMAIL_SLOW: "qmail-send" });
    await site.until(() => site.notes("start").length === 1);
    site.signal("SIGTERM");
    expect(await started).toBe(0);
    expect(site.err).toBe("");
  });

  test("HUP and ALRM reach qmail-send", async () => {
    await site.start();
    site.signal("SIGHUP");
    site.signal("SIGALRM");
    await site.until(() => site.notes("flush").length === 1);
    expect(site.notes("reread").map(({ name }) => name)).toEqual(["qmail-send"]);
  });

  test("a port in use is one line and exit 111, and nothing has run", async () => {
    const other = createServer().listen(0, "127.0.0.1");
    await once(other, "listening");
    const { port } = other.address() as { port: number };
    expect(await site.start({ SMTP_LISTEN: `127.0.0.1:${port}` })).toBe(111);
    expect(site.err).toBe(
      `qmail-start: fatal: cannot listen on 127.0.0.1:${port}: another program has that port; set SMTP_LISTEN=HOST:PORT\n`,
    );
    expect(site.notes()).toEqual([]);
    other.close();
  });

  test("a qmail-send that cannot start is one line with its reason", async () => {
    expect(await site.start({ EZQMAIL_BROKEN: "qmail-send" })).toBe(111);
    expect(site.err).toBe(
      "qmail-start: fatal: cannot start qmail-send: queue is of a newer version\n",
    );
    expect(site.notes("start").map(({ name }) => name)).toEqual(["qmail-send"]);
  });

  test.runIf(root)(
    "a checkout that the uid may not enter is one line with the mending command",
    async () => {
      chmodSync(site.root, 0o700);
      expect(await site.start()).toBe(111);
      expect(site.err).toMatch(/cannot get to \S+; mend it with: chmod a\+x \S+\n$/);
      expect(site.notes()).toEqual([]);
    },
  );

  test.runIf(root)("a control file that the uid may not read is one line", async () => {
    const file = join(site.home, "control", "locals");
    chownSync(file, 0, 0);
    chmodSync(file, 0o600);
    expect(await site.start()).toBe(111);
    expect(site.err).toContain(`cannot read ${file}; mend it with: chmod a+r ${file}\n`);
  });

  test.runIf(root)("a queue that the uid may not write is one line", async () => {
    chownSync(join(site.home, "queue"), 0, 0);
    expect(await site.start()).toBe(111);
    expect(site.err).toContain(
      `mend it with: chown -R ${uid}:${uid} ${join(site.home, "queue")}\n`,
    );
  });

  test("a home without control/me asks for qmail-setup", async () => {
    const bare = new FakeSite(uid);
    expect(await bare.start()).toBe(111);
    expect(bare.err).toContain("run qmail-setup first");
    expect(existsSync(bare.home)).toBe(false);
    await bare.remove();
  });
});

describe("qmail-setup", () => {
  let site: FakeSite;
  beforeEach(() => {
    site = new FakeSite(uid);
  });
  afterEach(() => site.remove());

  test("makes a home to try things with, and changes nothing the second time", async () => {
    expect(await site.setup()).toBe(0);
    const read = (name: string): string => readFileSync(join(site.home, name), "utf8");
    expect(read("control/me")).toBe("list.test\n");
    expect(read("control/rcpthosts")).toBe("list.test\nlocalhost\n.test\n");
    expect(read("users/assign")).toContain(`+:alias:${uid}:${uid}:${site.root}/lists:-::\n.\n`);
    expect(statSync(join(site.home, "queue", "drop")).mode & 0o7777).toBe(0o3733);
    expect(statSync(join(site.home, "queue", "lock", "trigger")).isFIFO()).toBe(true);
    const made = site.out;
    expect(await site.setup()).toBe(0);
    expect(site.out).toBe(made);
  });

  test("leaves a home that has control/me as it is, but for what the queue needs", async () => {
    mkdirSync(join(site.home, "control"), { recursive: true });
    mkdirSync(join(site.home, "users"), { recursive: true });
    writeFileSync(join(site.home, "control", "me"), "mail.example.org\n");
    writeFileSync(join(site.home, "users", "assign"), "+:joe:500:500:/home/joe:-::\n.\n");
    if (root) chownSync(site.home, uid, uid);
    expect(await site.setup()).toBe(0);
    for (const name of ["locals", "rcpthosts", "virtualdomains"]) {
      expect(existsSync(join(site.home, "control", name))).toBe(false);
    }
    expect(readFileSync(join(site.home, "users", "assign"), "utf8")).toContain("joe");
    expect(existsSync(join(site.home, "alias", "Maildir"))).toBe(false);
    expect(existsSync(join(site.home, "queue", "drop"))).toBe(true);
  });

  test("goes on in a home of which a snapshot of hard links was taken", async () => {
    expect(await site.setup()).toBe(0);
    const lock = join(site.home, "queue", "lock");
    for (const name of ["trigger", "tcpto"]) linkSync(join(lock, name), join(site.root, name));
    expect(await site.setup()).toBe(0);
    expect(site.err).toBe("");
  });

  test.runIf(root)(
    "gives root's files in lists/ to their owner, but not through links",
    async () => {
      const list = join(site.root, "lists", "club");
      mkdirSync(list);
      writeFileSync(join(list, "list.db"), "");
      const outside = join(site.root, "outside");
      writeFileSync(outside, "");
      linkSync(outside, join(list, "hard"));
      symlinkSync(outside, join(list, "soft"));
      expect(await site.setup()).toBe(0);
      expect(statSync(join(list, "list.db")).uid).toBe(uid);
      expect(statSync(list).uid).toBe(uid);
      expect(statSync(outside).uid).toBe(0);
    },
  );

  describe.runIf(root)("as root, in directories of a lesser uid", () => {
    /** A home where the uid of the queue was first at queue/. */
    const homeWithQueue = (): string => {
      const queue = join(site.home, "queue");
      mkdirSync(queue, { recursive: true });
      for (const path of [site.home, queue]) chownSync(path, uid, uid);
      return queue;
    };

    test("writes no file through a link that waits under its name", async () => {
      const lock = join(homeWithQueue(), "lock");
      mkdirSync(lock);
      chownSync(lock, uid, uid);
      const secret = join(site.root, "secret");
      writeFileSync(secret, "of root\n", { mode: 0o600 });
      symlinkSync(secret, join(lock, "tcpto.new"));
      expect(await site.setup()).toBe(0);
      expect(readFileSync(secret, "utf8")).toBe("of root\n");
      expect(statSync(secret)).toMatchObject({ uid: 0, mode: 0o100600 });
      expect(lstatSync(join(lock, "tcpto"))).toMatchObject({ uid, mode: 0o100644 });
    });

    test("neither opens nor fills a directory of root's behind a link", async () => {
      const target = join(site.root, "private");
      mkdirSync(target, { mode: 0o700 });
      const lock = join(homeWithQueue(), "lock");
      symlinkSync(target, lock);
      lchownSync(lock, uid, uid);
      expect(await site.setup()).toBe(111);
      expect(site.err).toContain(
        `${lock} is a link of uid ${uid} to ${target}, which is root's; if that is to be used: chown ${uid} ${target}, else remove the link\n`,
      );
      expect(statSync(target)).toMatchObject({ uid: 0, mode: 0o40700 });
      expect(readdirSync(target)).toEqual([]);
    });

    test("gives away no file that has another name elsewhere", async () => {
      const lock = join(homeWithQueue(), "lock");
      mkdirSync(lock);
      chownSync(lock, uid, uid);
      const secret = join(site.root, "secret");
      writeFileSync(secret, "of root\n", { mode: 0o600 });
      linkSync(secret, join(lock, "sendmutex"));
      expect(await site.setup()).toBe(111);
      expect(site.err).toContain(`${lock}/sendmutex is a link; remove it`);
      expect(statSync(secret).uid).toBe(0);
    });

    test("follows what root linked in a home that is not his, and says what the place lacks", async () => {
      mkdirSync(site.home);
      chownSync(site.home, uid, uid);
      const disk = (name: string): string => join(site.root, `disk-${name}`);
      for (const name of ["queue", "alias", "control"]) {
        mkdirSync(disk(name), { mode: 0o700 });
        symlinkSync(`${disk(name)}${name === "alias" ? "/" : ""}`, join(site.home, name));
      }
      chmodSync(disk("control"), 0o755);
      expect(await site.setup()).toBe(0);
      expect(statSync(join(disk("queue"), "drop")).uid).toBe(uid);
      expect(statSync(join(disk("alias"), "Maildir")).uid).toBe(uid);
      expect(readFileSync(join(disk("control"), "me"), "utf8")).toBe("list.test\n");
      expect(await site.start()).toBe(111);
      expect(site.err).toContain(
        `cannot write into ${site.home}/queue; mend it with: chown -R ${uid}:${uid} ${disk("queue")}\n`,
      );
    });

    describe("is not led by a link of root's", () => {
      let target: string;
      let lock: string;
      let other: string;
      beforeEach(() => {
        lock = join(homeWithQueue(), "lock");
        other = join(site.home, "other");
        target = join(site.root, "private");
        mkdirSync(target, { mode: 0o700 });
      });

      test.each<[string, () => void]>([
        [
          "that was moved to where it is",
          () => {
            symlinkSync(target, lock);
            // Time of files goes in steps; within one of them a move leaves no trace.
            do {
              renameSync(lock, other);
              renameSync(other, lock);
            } while (lstatSync(lock).ctimeMs === lstatSync(lock).mtimeMs);
          },
        ],
        [
          "that has a second name",
          () => {
            symlinkSync(target, other);
            linkSync(other, lock);
          },
        ],
        [
          "that counts from where it lies",
          () => symlinkSync(relative(dirname(lock), target), lock),
        ],
        [
          "that passes a link of the owner's",
          () => {
            symlinkSync(target, other);
            lchownSync(other, uid, uid);
            symlinkSync(other, lock);
          },
        ],
      ])("%s", async (_, make) => {
        make();
        expect(await site.setup()).toBe(111);
        expect(site.err).toContain(
          `${lock} is a link of uid 0 to ${target}, which is root's; if that is to be used: chown ${uid} ${target}, else remove the link\n`,
        );
        expect(statSync(target)).toMatchObject({ uid: 0, mode: 0o40700 });
        expect(readdirSync(target)).toEqual([]);
        chownSync(target, uid, 0);
        expect(await site.setup()).toBe(0);
      });
    });

    test("goes where root's own links and those within one uid lead", async () => {
      const elsewhere = join(site.root, "disk");
      mkdirSync(join(elsewhere, "locks"), { recursive: true });
      mkdirSync(site.home);
      symlinkSync(elsewhere, join(site.home, "queue"));
      symlinkSync(join(elsewhere, "locks"), join(elsewhere, "lock"));
      for (const path of [elsewhere, join(elsewhere, "locks")]) chownSync(path, uid, uid);
      expect(await site.setup()).toBe(0);
      expect(lstatSync(join(elsewhere, "locks", "trigger"))).toMatchObject({ uid });
    });
  });

  test("a home that cannot be made is one line and exit 111", async () => {
    writeFileSync(site.home, "a file in the way");
    expect(await site.setup()).toBe(111);
    expect(site.err).toMatch(/^qmail-setup: fatal: cannot set up \S+: [a-z ]+; .*QMAILHOME.*\n$/);
  });
});
