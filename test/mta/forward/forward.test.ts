/** forward, condredirect, bouncesaying, except, preline: in process and as commands alike. */
import { spawnSync } from "node:child_process";
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Readable } from "node:stream";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { bufferInput, streamInput } from "../../../src/lib/message-input.ts";
import { runProgram } from "../../../src/lib/program.ts";
import { findProgram } from "../../../src/programs.ts";
import { RecorderQueue } from "../../support/ezmlm.ts";
import { makeHost, root } from "../local/host.ts";

const message = "Subject: x\n\nhi\n";
const env = {
  SENDER: "s@x.example",
  NEWSENDER: "owner@l.example",
  DTLINE: "Delivered-To: joe@l.example\n",
  RPLINE: "Return-Path: <s@x.example>\n",
  UFLINE: "From s@x.example Sat Nov 21 01:36:17 2026\n",
};

interface Result {
  code: number;
  stdout: string;
  mail: string;
}

let dir: string;
beforeAll(() => {
  dir = mkdtempSync(join(tmpdir(), "forward-"));
  // Stands for qmail-queue: keeps what it is given.
  const script = `#!/bin/sh\nexec 3<&1\ncat > '${dir}/message'\ncat <&3 | tr '\\0' ' ' > '${dir}/envelope'\n`;
  writeFileSync(join(dir, "qq"), script);
  chmodSync(join(dir, "qq"), 0o755);
});
afterAll(() => rmSync(dir, { recursive: true, force: true }));

type Run = (name: string, args: string[], vars?: Record<string, string>) => Promise<Result>;

const inProcess: Run = async (name, args, vars = env) => {
  const program = await findProgram(name);
  if (!program) throw new Error(name);
  const queue = new RecorderQueue();
  const { host, said } = makeHost({
    args,
    cwd: dir,
    env: vars,
    stdin: bufferInput(message),
    queue,
  });
  const parts: string[] = [];
  const output = {
    write: (data: string | Uint8Array) => void parts.push(Buffer.from(data).toString()),
    flush: async () => {},
  };
  const { ProcessCommands } = await import("../../../src/lib/spawn.ts");
  const real = new ProcessCommands({ cwd: dir, env: host.env, stdin: host.stdin });
  const commands = {
    exec: (argv: readonly string[], options = {}) =>
      real.exec(argv, { stdout: output, stderr: output, ...options }),
    shell: (line: string, options = {}) => real.shell(line, { stdout: output, ...options }),
  };
  const code = await runProgram(program, { ...host, stdout: output, commands });
  said();
  const [mail] = queue.mails;
  return {
    code,
    stdout: parts.join(""),
    mail: mail
      ? `F${mail.sender} ${mail.recipients.map((to) => `T${to} `).join("")} | ${mail.bytes}`
      : "",
  };
};

const asCommand: Run = async (name, args, vars = env) => {
  const { readFileSync } = await import("node:fs");
  for (const file of ["message", "envelope"]) rmSync(join(dir, file), { force: true });
  const child = spawnSync(join(root, "bin", name), args, {
    cwd: dir,
    env: { PATH: process.env.PATH, ...vars, QMAILHOME: dir, QMAILQUEUE: join(dir, "qq") },
    input: message,
    encoding: "utf8",
  });
  let mail = "";
  try {
    mail = `${readFileSync(join(dir, "envelope"), "utf8").slice(0, -1)} | ${readFileSync(join(dir, "message"), "utf8")}`;
  } catch {
    mail = "";
  }
  return { code: child.status ?? -1, stdout: child.stdout, mail };
};

describe.each([
  ["in process", inProcess],
  ["as command", asCommand],
] as const)("%s", (_, run) => {
  const queued = (sender: string, ...to: string[]) =>
    `F${sender} ${to.map((address) => `T${address} `).join("")} | ${env.DTLINE}${message}`;

  test("forward hands the message on from NEWSENDER", async () => {
    const result = await run("forward", ["a@x.example", "b@x.example"]);
    expect(result).toEqual({
      code: 0,
      stdout: "",
      mail: queued("owner@l.example", "a@x.example", "b@x.example"),
    });
  });

  test("forward needs addresses and the variables of a delivery", async () => {
    expect((await run("forward", [])).code).toBe(100);
    expect((await run("forward", ["a@x.example"], { SENDER: "x" })).code).toBe(100);
  });

  test.each([
    ["0", 99],
    ["1", 0],
    ["100", 0],
    ["111", 111],
  ])("condredirect with a program that exits %s exits %i", async (exit, code) => {
    const result = await run("condredirect", [
      "a@x.example",
      "sh",
      "-c",
      `grep -q hi && exit ${exit}`,
    ]);
    expect(result.code).toBe(code);
    expect(result.mail).toBe(code === 99 ? queued("s@x.example", "a@x.example") : "");
  });

  test("condredirect goes on when there is no such program, defers when it crashes", async () => {
    expect((await run("condredirect", ["a@x.example", "/no/such/program"])).code).toBe(0);
    expect((await run("condredirect", ["a@x.example", "sh", "-c", "kill -9 $$"])).code).toBe(111);
    expect((await run("condredirect", ["a@x.example"])).code).toBe(100);
  });

  test.each([
    [[], 100, "no such list\n"],
    [["true"], 100, "no such list\n"],
    [["false"], 0, ""],
    [["sh", "-c", "exit 111"], 111, ""],
    [["/no/such/program"], 0, ""],
  ])("bouncesaying with %j exits %i", async (argv, code, stdout) => {
    const result = await run("bouncesaying", ["no such list", ...argv]);
    expect(result).toEqual({ code, stdout, mail: "" });
  });

  test.each([
    [["grep", "-q", "hi"], 100],
    [["grep", "-q", "none"], 0],
    [["sh", "-c", "exit 111"], 111],
    [["sh", "-c", "kill -9 $$"], 111],
    [[], 100],
  ])("except %j exits %i", async (argv, code) => {
    expect((await run("except", argv)).code).toBe(code);
  });

  test("preline feeds the lines and the message, and gives the exit code of the program", async () => {
    const all = env.UFLINE + env.RPLINE + env.DTLINE + message;
    expect(await run("preline", ["cat"])).toEqual({ code: 0, stdout: all, mail: "" });
    expect((await run("preline", ["-fd", "cat"])).stdout).toBe(env.RPLINE + message);
    expect((await run("preline", ["-frd", "-F", "cat"])).stdout).toBe(env.UFLINE + message);
    expect((await run("preline", ["sh", "-c", "exit 75"])).code).toBe(75);
    expect((await run("preline", ["/no/such/program"])).code).toBe(100);
    expect((await run("preline", [])).code).toBe(100);
  });
});

describe("in one program line", () => {
  /** What is queued when these come through pipes, one after the other. */
  async function queued(mails: readonly string[], chunkBytes = 1 << 16): Promise<string[]> {
    const queue = new RecorderQueue();
    const forward = await findProgram("forward");
    for (const mail of mails) {
      const chunks: Buffer[] = [];
      for (let at = 0; at < mail.length; at += chunkBytes) {
        chunks.push(Buffer.from(mail.slice(at, at + chunkBytes)));
      }
      const stdin = streamInput(Readable.from(chunks));
      const given = { args: ["a@x.example"], cwd: dir, env, queue, stdin, deliveryKey: "12.1" };
      expect(forward && (await runProgram(forward, makeHost(given).host))).toBe(0);
    }
    return queue.mails.map((mail) => mail.bytes.toString().slice(env.DTLINE.length));
  }

  const original =
    "Received: by x\nFrom: s@x.example\nMessage-ID: <1@x.example>\nSubject: one\n\nFirst\n\nX: y\n";

  test.each([
    ["a line in front", `X-Filter-Time: 1\n${original}`, `X-Filter-Time: 2\n${original}`],
    ["a folded one", `X-Filter-Id: a\n b\n${original}`, `X-Filter-Id: c\n\td\n${original}`],
    ["an mbox line", `From s@x.example Sat\n${original}`, `From s@x.example Sun\n${original}`],
    [
      "one at the end of the header",
      original.replace("\n\n", "\nX-Scanned: 1\n\n"),
      original.replace("\n\n", "\nX-Scanned: 2\n\n"),
    ],
    ["no body", "Subject: x\nX-Time: 1\n", "Subject: x\nX-Time: 2\n"],
  ])("a mail is queued once however its filter marks each run: %s", async (_, first, second) => {
    expect(await queued([first, second])).toEqual([first]);
    expect(await queued([first, second], 3)).toEqual([first]);
  });

  test.each([
    ["subject", original.replace("one", "two")],
    ["message id", original.replace("<1@", "<2@")],
    ["author", original.replace("From: s@", "From: t@")],
    ["body", original.replace("First", "Second")],
    ["what looks like a header in the body", original.replace("X: y", "X: z")],
    ["what stands behind a line that is no field", original.replace("\n\n", "\nno field\n\n")],
    ["header and body by an empty line", original.replace("Subject", "\nSubject")],
  ])("two mails to one address are two: another %s", async (_, other) => {
    expect(await queued([original, other, original, other])).toEqual([original, other]);
  });

  test("a large mail is known again, too, however it comes through the pipe", async () => {
    const large = `${original}${"text\n".repeat(200_000)}`;
    const again = `X-Filter-Time: 2\n${large}`;
    expect((await queued([large, again])).length).toBe(1);
    expect((await queued([large, again, `${large}more\n`], 5000)).length).toBe(2);
  });
});

describe("a large mail through a pipe", () => {
  setFlagsFromString("--expose-gc");
  const collectGarbage = runInNewContext("gc") as () => void;
  const heldBytes = (): number => {
    collectGarbage();
    return process.memoryUsage().arrayBuffers;
  };
  const block = Buffer.alloc(1 << 16, "text of a large mail\n");
  const blocks = 3072;
  const large = () =>
    streamInput(
      (async function* () {
        yield Buffer.from("Subject: large\n\n");
        for (let count = 0; count < blocks; count++) yield block;
      })(),
    );

  test.each([
    ["forward", ["a@x.example"], 0],
    ["condredirect", ["a@x.example", "true"], 99],
  ])("%s keeps it out of memory until it is queued", async (name, args, code) => {
    const program = await findProgram(name);
    const before = heldBytes();
    let held = Infinity;
    let size = 0;
    const queue = new RecorderQueue();
    const open = queue.open.bind(queue);
    queue.open = (options) => {
      held = heldBytes() - before;
      const put = (bytes: Uint8Array | string): void => {
        size += bytes.length;
      };
      return { ...open(options), put };
    };
    const given = { args, cwd: dir, env, queue, stdin: large(), deliveryKey: "12.1" };
    expect(program && (await runProgram(program, makeHost(given).host))).toBe(code);
    expect(size).toBe(env.DTLINE.length + "Subject: large\n\n".length + blocks * block.length);
    expect(held).toBeLessThan((blocks * block.length) / 4);
  });

  test("is tried again later when it can be kept nowhere", async () => {
    const forward = await findProgram("forward");
    const queue = new RecorderQueue();
    const vars = { ...env, TMPDIR: join(dir, "none") };
    const given = { args: ["a@x.example"], cwd: dir, queue, stdin: large(), deliveryKey: "12.1" };
    const { host, said } = makeHost({ ...given, env: vars });
    expect(forward && (await runProgram(forward, host))).toBe(111);
    expect([said(), queue.mails]).toEqual([
      expect.stringContaining(`forward: fatal: Unable to keep message in ${dir}/none: `),
      [],
    ]);
  });
});
