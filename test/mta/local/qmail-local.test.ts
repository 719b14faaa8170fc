import { spawn } from "node:child_process";
import {
  chmodSync,
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
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { PermanentError, TemporaryError } from "../../../src/lib/errors.ts";
import { bufferInput, type MessageInput } from "../../../src/lib/message-input.ts";
import { runProgram } from "../../../src/lib/program.ts";
import { dotQmailNames } from "../../../src/mta/local/dot-qmail.ts";
import { qmailLocal } from "../../../src/mta/local/qmail-local.ts";
import { RecorderQueue } from "../../support/ezmlm.ts";
import { makeHost } from "./host.ts";

let home: string;
let queue: RecorderQueue;

beforeEach(() => {
  home = mkdtempSync(join(tmpdir(), "qmail-local-"));
  queue = new RecorderQueue();
});
afterEach(() => rmSync(home, { recursive: true, force: true }));

interface Wish {
  local?: string;
  dash?: string;
  ext?: string;
  sender?: string;
  message?: string | MessageInput;
  options?: string[];
  defaultDelivery?: string;
  domain?: string;
}

/** Run qmail-local for joe: `exit code:what it said`. */
async function deliver(wish: Wish = {}): Promise<string> {
  const { ext = "x", dash = "-", message = "Subject: x\n\nhi\n" } = wish;
  const { local = `joe${dash}${ext}`, sender = "s@x.example", domain = "test.example" } = wish;
  const { host, said } = makeHost({
    args: [
      ...(wish.options ?? []),
      "joe",
      home,
      local,
      dash,
      ext,
      domain,
      sender,
      wish.defaultDelivery ?? "./Mailbox",
    ],
    cwd: home,
    stdin: typeof message === "string" ? bufferInput(message) : message,
    queue,
  });
  const code = await runProgram(qmailLocal, host);
  return `${code}:${said()}`;
}

const write = (name: string, text: string | Buffer): void => writeFileSync(join(home, name), text);
const makeMaildir = (name: string): void => {
  for (const part of ["", "tmp", "new", "cur"]) mkdirSync(join(home, name, part));
};

test.each([
  ["|echo hello; exit 100\n", "100:hello\n"],
  ["|echo later; exit 111\n", "111:later\n"],
  ["|exit 1\n", "111:"],
  ["|exit 64\n", "100:"],
  ["|exit 65\n", "100:"],
  ["|exit 70\n", "100:"],
  ["|exit 112\n", "100:"],
  ["|exit 75\n", "111:"],
  ["|exit 127\n", "111:"],
  ["fred\n|exit 99\n|exit 100\n", "0:did 0+1+1\nqp 1\n"],
  ["#\n", "0:did 0+0+0\n"],
  ["# comment only, no line end", "0:did 0+0+0\n"],
  ["\n./Mailbox\n", "111:Uh-oh: first line of .qmail file is blank. (#4.2.1)\n"],
  [" \t\n./Mailbox\n", "111:Uh-oh: first line of .qmail file is blank. (#4.2.1)\n"],
  ["#\n\n./Mailbox\n", "0:did 1+0+0\n"],
  ["+list\n|true\n", "111:Uh-oh: .qmail has prog delivery but has x bit set. (#4.7.0)\n"],
  [
    "|true\n+list\n./Mailbox\n",
    "111:Uh-oh: .qmail has file delivery but has x bit set. (#4.7.0)\n",
  ],
  ["+unknown\n|true\n", "0:did 0+0+1\n"],
  ["|kill -9 $$\n", "111:Aack, child crashed. (#4.3.0)\n"],
  ["&fred@x.example \t\nann@x.example\n", "0:did 0+2+0\nqp 1\n"],
  ["./nodir/\n", "111:Unable to chdir to maildir. (#4.2.1)\n"],
  ["./no/dir\n", "111:Unable to open HOME/no/dir: file does not exist. (#4.2.1)\n"],
])("qmail-local obeys %j with %j", async (file, expected) => {
  write(".qmail-x", file);
  expect((await deliver()).replaceAll(home, "HOME")).toBe(expected);
});

test("qmail-local defers on a file, home or NUL that must not be trusted", async () => {
  write(".qmail-x", "./Mailbox\n");
  chmodSync(join(home, ".qmail-x"), 0o666);
  expect(await deliver()).toBe("111:Uh-oh: .qmail file is writable. (#4.7.0)\n");
  chmodSync(join(home, ".qmail-x"), 0o644);
  chmodSync(home, 0o777);
  expect(await deliver()).toBe("111:Uh-oh: home directory is writable. (#4.7.0)\n");
  chmodSync(home, 0o1755);
  expect(await deliver()).toBe(
    "111:Home directory is sticky: user is editing his .qmail file. (#4.2.1)\n",
  );
  expect(await deliver({ options: ["-n"] })).toBe(
    "0:Warning: home directory is sticky.\nmbox ./Mailbox\ndid 1+0+0\n",
  );
  chmodSync(home, 0o755);
  write(".qmail-x", "./Mail\0box\n");
  expect(await deliver()).toBe("0:did 1+0+0\n");
  expect(existsSync(join(home, "Mail"))).toBe(true);
});

test("qmail-local takes a file whose owner-execute bit is set as forwards only", async () => {
  write(".qmail-x", "fred@x.example\n./Mailbox\n");
  chmodSync(join(home, ".qmail-x"), 0o755);
  expect(await deliver()).toBe("111:Uh-oh: .qmail has file delivery but has x bit set. (#4.7.0)\n");
  expect(queue.mails).toHaveLength(0);
  write(".qmail-x", "");
  expect(await deliver()).toBe("0:did 1+0+0\n");
});

test("qmail-local detects its own Delivered-To line, and only in the header", async () => {
  write(".qmail-x", "./Mailbox\n");
  const line = "Delivered-To: joe-x@test.example\n";
  expect(await deliver({ message: `Subject: x\n${line}\nhi\n` })).toBe(
    "100:This message is looping: it already has my Delivered-To line. (#5.4.6)\n",
  );
  for (const message of [
    `Subject: x\n\n${line}`,
    "Delivered-To: JOE-X@test.example\n\n",
    "Delivered-To: joe-x@test.example",
    ` ${line}\n`,
  ]) {
    expect(await deliver({ message })).toBe("0:did 1+0+0\n");
  }
});

test("qmail-local finds the Delivered-To line in a large header, whatever the chunks", async () => {
  write(".qmail-x", "#\n");
  const head = `${"X-Long: ".padEnd(200_000, "y")}\n`;
  const text = `${head}Delivered-To: joe-x@test.example\n\n`;
  for (const size of [7919, 65536]) {
    const bytes = Buffer.from(text);
    const message: MessageInput = {
      async *chunks() {
        for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size);
      },
    };
    expect(await deliver({ message })).toMatch(/^100:This message is looping/);
  }
});

test("dotQmailNames() tries the names in the documented order", () => {
  const names = (dash: string, ext: string) => dotQmailNames(dash, ext).map(({ name }) => name);
  expect(names("-", "a")).toEqual([".qmail-a", ".qmail-default"]);
  expect(names("-", "a-")).toEqual([".qmail-a-", ".qmail-a-default", ".qmail-default"]);
  expect(names("-", "a-b-c")).toEqual([
    ".qmail-a-b-c",
    ".qmail-a-b-default",
    ".qmail-a-default",
    ".qmail-default",
  ]);
  expect(names("", "")).toEqual([".qmail", ".qmaildefault"]);
  expect(names("-", "../A.b")[0]).toBe(".qmail-::/a:b");
});

test("qmail-local sets DEFAULT and the EXT and HOST families", async () => {
  write(
    ".qmail-env-default",
    '|echo "$LOCAL $EXT $EXT2 $EXT3 $EXT4 $DEFAULT $HOST $HOST2 $HOST3 $HOST4"\n',
  );
  expect(await deliver({ local: "joe-env-w-A", ext: "env-w-A", domain: "b.wild.example" })).toBe(
    "0:joe-env-w-A env-w-A w-A A  w-A b.wild.example b.wild b b\ndid 0+0+1\n",
  );
  // biome-ignore lint/suspicious/noTemplateCurlyInString: this is shell
  write(".qmail-x", '|echo "${DEFAULT-none}"\n');
  expect(await deliver()).toBe("0:none\ndid 0+0+1\n");
  expect(await deliver({ ext: "env-default" })).toMatch(/^0:joe-env-default .* default test/);
  write(".qmail-env-default", '|printf "%s" "$UFLINE$RPLINE$DTLINE$USER $HOME"\n');
  expect(await deliver({ ext: "env-a\nb", sender: "a b@x.example" })).toMatch(
    /^0:From a-b@x.example \w{3} \w{3} \d\d \d\d:\d\d:\d\d \d{4}\nReturn-Path: <"a b"@x.example>\nDelivered-To: joe-env-a_b@test.example\njoe \//,
  );
});

test("qmail-local skips what is no regular file and stops where it may not look", async () => {
  mkdirSync(join(home, ".qmail-x"));
  write(".qmail-default", "#\n");
  expect(await deliver()).toBe("0:did 0+0+0\n");
  symlinkSync("loop", join(home, "loop"));
  symlinkSync("loop", join(home, ".qmail-y"));
  expect(await deliver({ ext: "y" })).toBe("0:did 0+0+0\n");
  rmSync(join(home, ".qmail-default"));
  expect(await deliver({ ext: "z" })).toBe("100:Sorry, no mailbox here by that name. (#5.1.1)\n");
});

test("qmail-local uses the default delivery for the bare user and for an empty file", async () => {
  makeMaildir("Maildir");
  const defaultDelivery = "./Maildir/\n";
  expect(await deliver({ dash: "", ext: "", local: "joe", defaultDelivery })).toBe("0:did 1+0+0\n");
  write(".qmail-x", "");
  expect(await deliver({ defaultDelivery })).toBe("0:did 1+0+0\n");
  expect(readdirSync(join(home, "Maildir/new"))).toHaveLength(2);
});

test("qmail-local sends forwards after all lines, from the owner where there is one", async () => {
  write(".qmail-x", "ann@x.example\n&bob@x.example\n");
  expect(await deliver()).toBe("0:did 0+2+0\nqp 1\n");
  expect(queue.mails[0]).toMatchObject({
    sender: "s@x.example",
    recipients: ["ann@x.example", "bob@x.example"],
  });
  expect(queue.mails[0]?.bytes.toString()).toBe(
    "Delivered-To: joe-x@test.example\nSubject: x\n\nhi\n",
  );
  write(".qmail-x-owner", "#\n");
  await deliver();
  expect(queue.mails[1]?.sender).toBe("joe-x-owner@test.example");
  write(".qmail-x-owner-default", "#\n");
  await deliver();
  expect(queue.mails[2]?.sender).toBe("joe-x-owner-@test.example-@[]");
  await deliver({ sender: "" });
  expect(queue.mails[3]?.sender).toBe("");
  await deliver({ sender: "#@[]" });
  expect(queue.mails[4]?.sender).toBe("#@[]");
});

test("qmail-local forwards nothing when a line fails, and passes on the verdict of the queue", async () => {
  write(".qmail-x", "ann@x.example\n|exit 111\n");
  expect(await deliver()).toBe("111:");
  expect(queue.mails).toHaveLength(0);
  write(".qmail-x", "ann@x.example\n");
  queue.refuse = new TemporaryError("qq write error or disk full (#4.3.0)");
  expect(await deliver()).toBe(
    "111:Unable to forward message: qq write error or disk full (#4.3.0).\n",
  );
  queue.refuse = new PermanentError("qq permanent problem (#5.3.0)");
  expect(await deliver()).toBe("100:Unable to forward message: qq permanent problem (#5.3.0).\n");
});

test("qmail-local -n prints what it would do", async () => {
  write(".qmail-x", "./M/\n./m\n|cmd x\n&a@x.example\n");
  expect(await deliver({ options: ["-n"] })).toBe(
    "0:maildir ./M/\nmbox ./m\nprogram cmd x\nforward a@x.example\ndid 2+1+1\n",
  );
  expect(existsSync(join(home, "m"))).toBe(false);
});

test("qmail-local refuses a relative home and missing arguments", async () => {
  const { host, said } = makeHost({
    args: ["joe", "home", "", "", "", "", "", ""],
    cwd: home,
    queue,
  });
  expect(await runProgram(qmailLocal, host)).toBe(100);
  expect(said()).toContain("qmail-local: usage: ");
});

test("mbox delivery quotes From_ lines, ends the last line, and keeps the file private", async () => {
  write(".qmail-x", "./box\n");
  const message = "Subject: x\n\nFrom a\n>From b\n>>From c\n From d\nFromage\nlast";
  await deliver({ message, sender: "" });
  await deliver({ message: "Subject: y\n\n" });
  const text = readFileSync(join(home, "box"), "utf8").replace(
    / \w{3} \w{3} \d\d [\d:]+ \d{4}$/gm,
    " DATE",
  );
  expect(text).toBe(
    "From MAILER-DAEMON DATE\nReturn-Path: <>\nDelivered-To: joe-x@test.example\nSubject: x\n\n" +
      ">From a\n>>From b\n>>>From c\n From d\nFromage\nlast\n\n" +
      "From s@x.example DATE\nReturn-Path: <s@x.example>\nDelivered-To: joe-x@test.example\nSubject: y\n\n\n",
  );
});

test("mbox delivery waits for another program's flock", async () => {
  write(".qmail-x", "./box\n");
  write("box", "");
  const holder = spawn(
    "flock",
    [join(home, "box"), "sh", "-c", "echo locked; read go; printf before >> box"],
    {
      cwd: home,
      stdio: ["pipe", "pipe", "inherit"],
    },
  );
  await new Promise((resolve) => holder.stdout.once("data", resolve));
  const done = deliver();
  holder.stdin.end("go\n");
  expect(await done).toBe("0:did 1+0+0\n");
  expect(readFileSync(join(home, "box"), "utf8")).toMatch(/^beforeFrom s@x/);
});

test("a program that leaves a child behind holds up the delivery only for a moment", async () => {
  write(".qmail-x", "|sleep 20 & echo done\n");
  expect(await deliver()).toBe("0:done\ndid 0+0+1\n");
});
