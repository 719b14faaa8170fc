import { spawn, spawnSync } from "node:child_process";
import {
  chmodSync,
  closeSync,
  copyFileSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  readSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { queueVerdict } from "../../../src/lib/exit-code.ts";
import { exitCodeOf } from "../../../src/mta/inject/qmail-queue.ts";
import {
  DROP_TRAILER_BYTES,
  DropWriter,
  decodeDropTrailer,
} from "../../../src/mta/queue/drop-file.ts";

const bin = join(dirname(fileURLToPath(import.meta.url)), "..", "..", "..", "bin");

let home = "";
beforeEach(() => {
  home = mkdtempSync(join(tmpdir(), "ezqmail-commands-"));
  for (const name of ["control", "queue/drop", "queue/lock"]) {
    mkdirSync(join(home, name), { recursive: true });
  }
  writeFileSync(join(home, "control", "me"), "list.test\n");
});
afterEach(() => rmSync(home, { recursive: true, force: true }));

function run(name: string, args: string[], input: string, env: Record<string, string> = {}) {
  const done = spawnSync(join(bin, name), args, {
    input,
    encoding: "utf8",
    env: { PATH: process.env.PATH, USER: "joe", QMAILHOME: home, TZ: "UTC", ...env },
  });
  return { code: done.status, out: done.stdout, err: done.stderr };
}

interface Dropped {
  message: string;
  envelope: string[];
  key: string;
}

function dropped(): Dropped[] {
  const folder = join(home, "queue", "drop");
  return readdirSync(folder).map((name) => {
    const bytes = readFileSync(join(folder, name));
    const trailer = decodeDropTrailer(bytes.subarray(-DROP_TRAILER_BYTES), bytes.length);
    if (!trailer) throw new Error(`${name} is no drop file`);
    const { messageBytes, envelopeBytes, keyBytes } = trailer;
    const at = messageBytes + envelopeBytes;
    return {
      message: bytes.toString("utf8", 0, messageBytes),
      envelope: bytes.toString("utf8", messageBytes, at).split("\0").slice(0, -1),
      key: bytes.toString("utf8", at, at + keyBytes),
    };
  });
}

describe("qmail-queue", () => {
  function queue(envelope: string): number | null {
    const file = join(home, "envelope");
    writeFileSync(file, envelope);
    const fd = openSync(file, "r");
    const message = join(home, "message");
    writeFileSync(message, "Subject: x\n\nhi\n");
    const input = openSync(message, "r");
    const env = { PATH: process.env.PATH, QMAILHOME: home };
    const done = spawnSync(join(bin, "qmail-queue"), [], { stdio: [input, fd, "inherit"], env });
    closeSync(fd);
    closeSync(input);
    return done.status;
  }

  test("queues sender and recipients, readable by the group of the directory only", () => {
    expect(queue("Fjoe@x.y\0Ta@b.c\0T\u00fc@b.c\0\0")).toBe(0);
    expect(dropped()).toEqual([
      { message: "Subject: x\n\nhi\n", envelope: ["joe@x.y", "a@b.c", "\u00fc@b.c"], key: "" },
    ]);
    const [name = ""] = readdirSync(join(home, "queue", "drop"));
    expect(statSync(join(home, "queue", "drop", name)).mode & 0o777).toBe(0o640);
  });

  test.each([
    ["an envelope that ends before its last NUL", "Fjoe@x.y\0Ta@b.c\0", 54],
    ["an envelope without F", "joe@x.y\0\0", 91],
    ["a record that is no T", "Fjoe@x.y\0Xa@b.c\0\0", 91],
    ["an address that is too long", `F${"a".repeat(1003)}\0\0`, 11],
    ["an address with a line break", "Fjoe@x.y\0Ta\n@b.c\0\0", 11],
  ])("%s leaves nothing", (_, envelope, code) => {
    expect(queue(envelope)).toBe(code);
    expect(readdirSync(join(home, "queue", "drop"))).toEqual([]);
  });

  test("a message larger than a drop file may be is not told as a bad address", () => {
    const writer = new DropWriter({ home, pid: 1, limitBytes: 1000 });
    writer.put("x".repeat(2000));
    writer.from("");
    let code: number | undefined;
    try {
      writer.commit();
    } catch (error) {
      code = exitCodeOf(error);
    }
    writer.abort();
    expect(code).toBe(31);
    expect(queueVerdict(31)).toMatchObject({ letter: "D", text: expect.stringContaining("5.3.0") });
  });

  test("takes no recipients at all, and an empty sender", () => {
    expect(queue("F\0\0")).toBe(0);
    expect(dropped()[0]?.envelope).toEqual([""]);
  });

  test("a home without a queue is 62", () => {
    rmSync(join(home, "queue"), { recursive: true });
    expect(queue("Fjoe@x.y\0Ta@b.c\0\0")).toBe(62);
  });
});

describe("QMAILQUEUE", () => {
  function program(lines: string): string {
    const path = join(home, "qq");
    writeFileSync(path, `#!/bin/sh\n${lines}\n`);
    chmodSync(path, 0o755);
    return path;
  }
  const mail = "To: a@b.c\nSubject: x\n\nhi\n";

  test("gets the message on 0 and the envelope on 1", () => {
    const path = program(`cat > ${home}/got; cat <&1 > ${home}/envelope`);
    expect(run("qmail-inject", ["-fs@t.u"], mail, { QMAILQUEUE: path })).toMatchObject({ code: 0 });
    expect(readFileSync(join(home, "got"), "utf8")).toMatch(/To: a@b.c\nSubject: x\n\nhi\n$/);
    expect(readFileSync(join(home, "envelope"), "utf8")).toBe("Fs@t.u\0Ta@b.c\0\0");
    expect(dropped()).toEqual([]);
  });

  test.each([
    ["exit 31", 100, "mail server permanently rejected message (#5.3.0)"],
    ["exit 53", 111, "qq write error or disk full (#4.3.0)"],
    ["echo 'Dno way, sir' >&6; exit 82", 100, "no way, sir\n"],
    ["kill -9 $$", 111, "qq crashed (#4.3.0)"],
  ])("%s", (lines, code, text) => {
    const done = run("qmail-inject", [], mail, { QMAILQUEUE: program(lines) });
    expect(done).toMatchObject({ code, err: `qmail-inject: fatal: ${text}\n` });
  });

  test("a program that is not there is temporary", () => {
    const done = run("qmail-inject", [], mail, { QMAILQUEUE: "/nonexistent" });
    expect(done.code).toBe(111);
    expect(done.err).toContain("unable to exec qq (#4.3.0)");
  });
});

describe("sendmail", () => {
  test("-t takes recipients from the header and the arguments", () => {
    expect(run("sendmail", ["-t", "-oi", "-fjoe@x.y", "r@s.t"], "To: a@b.c\n\n.\nhi\n").code).toBe(
      0,
    );
    expect(dropped()[0]?.envelope).toEqual(["joe@x.y", "r@s.t", "a@b.c"]);
    expect(dropped()[0]?.message).toContain("From: joe@x.y\n");
    expect(dropped()[0]?.message.endsWith("\n\n.\nhi\n")).toBe(true);
  });

  test("-F names the sender, with and without -f", () => {
    expect(run("sendmail", ["-F", "Full Name", "r@s.t"], "\n").code).toBe(0);
    expect(dropped()[0]?.message).toContain('From: "Full Name" <joe@list.test>\n');
    run("sendmail", ["-FFull Name", "-r", "ann@x.y", "r@s.t"], "\n", { QMAILNAME: "Somebody" });
    const messages = dropped().map(({ message }) => message);
    expect(messages.join("")).toContain('From: "Full Name" <ann@x.y>\n');
  });

  test("accepts what modern callers pass", () => {
    const args = [
      "-G",
      "-i",
      "-N",
      "never",
      "-R",
      "full",
      "-V",
      "id",
      "-B8BITMIME",
      "-O",
      "x=y",
      "--",
      "r@s.t",
    ];
    expect(run("sendmail", args, "\n")).toEqual({ code: 0, out: "", err: "" });
    expect(run("sendmail", ["-q"], "")).toEqual({ code: 0, out: "", err: "" });
    expect(dropped().length).toBe(1);
  });

  test("-bd is wrong use", () => {
    const done = run("sendmail", ["-bd"], "");
    expect(done.code).toBe(100);
    expect(done.err).toContain("usage: sendmail");
  });

  test("-bs takes a conversation that was written ahead", () => {
    const talk = "HELO x\r\nMAIL FROM:<a@b.test>\r\nRCPT TO:<c@d.test>\r\nRSET\r\nQUIT\r\n";
    const done = run("sendmail", ["-bs"], talk);
    expect(done.out.match(/^\d{3}/gm)).toEqual(["220", "250", "250", "250", "250", "221"]);
  });

  test("-bs speaks SMTP", async () => {
    const child = spawn(join(bin, "sendmail"), ["-bs"], {
      env: { PATH: process.env.PATH, QMAILHOME: home },
    });
    let out = "";
    child.stdout.on("data", (data: Buffer) => {
      if (out === "") child.stdin.write("QUIT\r\n");
      out += data.toString();
    });
    const code = await new Promise((resolve) => child.on("close", resolve));
    expect(out).toMatch(/^220 list\.test.*\r\n221 .*\r\n$/);
    expect(code).toBe(0);
  });
});

describe("small senders", () => {
  test("mailsubj makes a header", () => {
    expect(run("mailsubj", ["hello there", "a", "b@c.d"], "hi\n").code).toBe(0);
    expect(dropped()[0]?.message).toMatch(/Subject: hello there\nTo: a@list.test, b@c.d\n\nhi\n$/);
    expect(run("mailsubj", ["a\nBcc: x@y", "b"], "").code).toBe(100);
  });

  test("predate puts local time first and returns the exit code of its child", () => {
    const done = run("predate", ["sh", "-c", "cat; exit 7"], "Subject: x\n", {
      TZ: "Asia/Kolkata",
    });
    expect(done.out).toMatch(
      /^Date: \d{1,2} [A-Z][a-z]{2} \d{4} \d\d:\d\d:\d\d \+0530\nSubject: x\n$/,
    );
    expect(done.code).toBe(7);
    expect(run("predate", ["/nonexistent"], "").code).toBe(111);
  });

  test("newaliases refers to fastforward", () => {
    expect(run("newaliases", [], "")).toMatchObject({ code: 100 });
  });
});

describe("the dispatcher", () => {
  test("prints the manual page, and one line for a name it does not know", () => {
    expect(run("qmail-inject", ["--help"], "").out).toMatch(/^NAME {9}qmail-inject - /);
    expect(run("qmail", ["help", "qmail-inject"], "").out).toMatch(/^NAME {9}qmail-inject - /);
    expect(run("qmail", ["help", "../../etc/passwd"], "").code).toBe(100);
    const done = spawnSync("node", [join(bin, "..", "dist", "main.cjs"), "nosuch"], {
      encoding: "utf8",
    });
    expect(done.status).toBe(100);
    expect(done.stderr).toBe('ezqmail: fatal: there is no program named "nosuch"\n');
  });

  test("a command whose script is not there, as while it is being built, bounces no mail", () => {
    mkdirSync(join(home, "dist"));
    copyFileSync(join(bin, "..", "dist", "main.cjs"), join(home, "dist", "main.cjs"));
    symlinkSync("dist/main.cjs", join(home, "ezmlm-send"));
    expect(spawnSync(join(home, "ezmlm-send"), ["."]).status).toBe(111);
  });

  test("reads a file from where its reader left it", () => {
    const file = join(home, "file");
    writeFileSync(file, "skipped\nTo: a@b.c\n\nhi\n");
    const fd = openSync(file, "r");
    readSync(fd, Buffer.alloc(8), 0, 8, null);
    const env = { PATH: process.env.PATH, QMAILHOME: home };
    expect(
      spawnSync(join(bin, "qmail-inject"), [], { stdio: [fd, "pipe", "pipe"], env }).status,
    ).toBe(0);
    closeSync(fd);
    expect(dropped()[0]?.envelope.slice(1)).toEqual(["a@b.c"]);
  });

  test("reads all that comes through a pipe, however late and large", () => {
    const late = `"${process.execPath}" -e 'console.log("y".repeat(300000))'`;
    const line = `{ printf 'To: a@b.c\\n\\n'; ${late}; ${late}; } | "$0"`;
    const env = { PATH: process.env.PATH, QMAILHOME: home };
    const done = spawnSync("sh", ["-c", line, join(bin, "qmail-inject")], { env });
    expect(done.status).toBe(0);
    const body = `${"y".repeat(300000)}\n`;
    expect(dropped()[0]?.message.endsWith(`\n\n${body}${body}`)).toBe(true);
  });

  test("takes the code compiled by the build, and does without when it is that of another node", () => {
    const check = `
      const { readFileSync, readdirSync } = require("node:fs");
      const { Script } = require("node:vm");
      for (const name of readdirSync(".").filter((name) => name.endsWith(".js"))) {
        const script = new Script(readFileSync(name, "latin1"), { cachedData: readFileSync(name + ".v8") });
        if (script.cachedDataRejected) console.log(name);
      }`;
    const dist = join(bin, "..", "dist");
    const done = spawnSync("node", ["-e", check], { cwd: join(dist, "command"), encoding: "utf8" });
    expect(done).toMatchObject({ status: 0, stdout: "" });
    mkdirSync(join(home, "dist", "command"), { recursive: true });
    for (const file of ["main.cjs", "command/maildirmake.js"]) {
      copyFileSync(join(dist, file), join(home, "dist", file));
    }
    writeFileSync(join(home, "dist", "command", "maildirmake.js.v8"), "of another node");
    const main = join(home, "dist", "main.cjs");
    const made = spawnSync("node", [main, "maildirmake", "Maildir"], { cwd: home });
    expect(made.status).toBe(0);
    expect(readdirSync(join(home, "Maildir")).toSorted()).toEqual(["cur", "new", "tmp"]);
  });

  test("a reader that goes away is no error of ours", async () => {
    const child = spawn(join(bin, "qmail-inject"), ["-n"], {
      env: { ...process.env, QMAILHOME: home },
    });
    child.stdout.destroy();
    child.stdin.end(`To: a\n\n${"x".repeat(1 << 20)}\n`);
    const code = await new Promise((resolve) => child.on("exit", resolve));
    expect(code).toBe(0);
  });

  test("inside a delivery a submission has a key of that delivery", () => {
    const env = { QMAILDELIVERY: "12.1/3" };
    expect(run("qmail-inject", ["a@b.c"], "Subject: x\n\nhi\n", env).code).toBe(0);
    expect(dropped()[0]?.key).toMatch(/^12\.1\/3\/inject:[0-9a-f]{32}$/);
  });
});

describe("qmail-showctl", () => {
  test("says values, defaults, and which files nobody reads", () => {
    writeFileSync(join(home, "control", "rcpthosts"), "list.test\n# no\n.test\n");
    writeFileSync(join(home, "control", "mystery"), "");
    const { code, out } = run("qmail-showctl", [], "");
    expect(code).toBe(0);
    expect(out).toContain("\nme: My name is list.test.\n");
    expect(out).toContain("\nconcurrencylocal: (Default.) Local concurrency is 10.\n");
    expect(out).toContain(
      "\nrcpthosts: \nSMTP clients may send messages to recipients at list.test.\nSMTP clients may send messages to recipients at .test.\n",
    );
    expect(out).toContain("\nmystery: I have no idea what this file does.\n");
  });

  test("says what is refused and how many may come, and that rules were not compiled", () => {
    rmSync(join(home, "control", "rcpthosts"), { force: true });
    writeFileSync(join(home, "control", "concurrencyincoming"), "30\n");
    writeFileSync(join(home, "control", "tcp.smtp"), "127.:allow\n");
    const { out } = run("qmail-showctl", [], "");
    expect(out).toContain(
      "\nrcpthosts: (Default.) SMTP clients may send messages to no recipient, unless RELAYCLIENT is set.\n",
    );
    expect(out).toContain(
      "\nconcurrencyperip: (Default.) SMTP server concurrency is 15 for one client address.\n",
    );
    expect(out).toContain(
      "\ntcp.smtp.cdb: Oops! tcp.smtp exists but has not been compiled; run tcprules.\n",
    );
    expect(out).not.toContain("\ntcp.smtp: ");
  });
});
