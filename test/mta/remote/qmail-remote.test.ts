import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { type SinkOptions, SmtpSink } from "../../support/smtp-sink.ts";

const root = join(dirname(fileURLToPath(import.meta.url)), "..", "..", "..");

let home: string;
let sink: SmtpSink;

beforeEach(() => {
  home = mkdtempSync(join(tmpdir(), "home-"));
  mkdirSync(join(home, "control"));
  mkdirSync(join(home, "queue", "lock"), { recursive: true });
});

afterEach(async () => {
  await sink.stop();
  rmSync(home, { recursive: true });
});

async function begin(options: SinkOptions = {}): Promise<void> {
  sink = await SmtpSink.start(options);
  writeFileSync(join(home, "control", "me"), "me.example\n");
  writeFileSync(join(home, "control", "smtproutes"), `:127.0.0.1:${sink.port}\n`);
}

async function run(name: string, args: string[], stdin: string | Buffer = ""): Promise<string> {
  const child = spawn(process.execPath, [join(root, "dist", "main.cjs"), name, ...args], {
    stdio: ["pipe", "pipe", "inherit"],
    env: { ...process.env, QMAILHOME: home },
  });
  child.stdin.on("error", () => {});
  child.stdin.end(stdin);
  let output = "";
  child.stdout.setEncoding("utf8").on("data", (text: string) => {
    output += text;
  });
  const [code] = await once(child, "close");
  expect(code).toBe(0);
  return output;
}

const send = (args: string[], message: string | Buffer = "Subject: x\n\nhi\n"): Promise<string> =>
  run("qmail-remote", args, message);

describe("qmail-remote", () => {
  it("prints a record per recipient and one for the message", async () => {
    await begin();
    const output = await send(["h.example", "s@me.example", "a@h", "550b@h", "451c@h"]);
    expect(output.split("\0")).toEqual([
      "r",
      "h127.0.0.1 does not like recipient.\nRemote host said: 550 as you wished\n",
      "s127.0.0.1 does not like recipient.\nRemote host said: 451 as you wished\n",
      "K127.0.0.1 accepted message.\nRemote host said: 250 2.0.0 ok 1\n",
      "",
    ]);
    expect(sink.messages[0]).toMatchObject({ sender: "s@me.example", recipients: ["a@h"] });
    expect(sink.commands[0]?.at(-1)).toBe("QUIT");
  });

  it("gives up when no recipient is accepted", async () => {
    await begin();
    expect((await send(["h.example", "", "550b@h"])).split("\0")).toEqual([
      "h127.0.0.1 does not like recipient.\nRemote host said: 550 as you wished\n",
      "DGiving up on 127.0.0.1.\n",
      "",
    ]);
  });

  it("says r and the verdict of the message when that is refused after RCPT", async () => {
    await begin();
    expect((await send(["h.example", "", "final-554@h"])).split("\0")).toEqual([
      "r",
      "D127.0.0.1 failed after I sent the message.\nRemote host said: 554 as you wished\n",
      "",
    ]);
  });

  it("prints the message record alone when nothing was asked", async () => {
    await begin({ greeting: "554 no" });
    expect(await send(["h.example", "", "a@h"])).toBe(
      "ZConnected to 127.0.0.1 but greeting failed.\nRemote host said: 554 no\n\0",
    );
    rmSync(join(home, "control", "me"));
    expect(await send(["h.example", "", "a@h"])).toBe(
      "ZUnable to read control files. (#4.3.0)\n\0",
    );
    expect(await send(["h.example", ""])).toBe(
      "DI (qmail-remote) was invoked improperly. (#5.3.5)\n\0",
    );
  });

  it("sends large input and a partial last line whole, the sender as given", async () => {
    await begin();
    const text = `${"y".repeat(60)}\n`.repeat(30000);
    const output = await send(["h.example", "l-@me-@[]", "a@h", "b@h"], `${text}end`);
    expect(output).toMatch(/^r\0r\0K/);
    expect(sink.messages).toHaveLength(1);
    expect(sink.messages[0]?.text).toBe(`${text}end\n`);
    expect(sink.messages[0]?.sender).toBe('"l-@me-"@[]');
  });
});

describe("qmail-tcpto and qmail-tcpok", () => {
  it("print the table, and empty it", async () => {
    await begin();
    const path = join(home, "queue", "lock", "tcpto");
    const at = Math.floor(Date.now() / 1000) - 100;
    writeFileSync(path, `10.0.0.1 2 ${at}\n2001:db8::1 1 ${at}\n`);
    const shown = await run("qmail-tcpto", []);
    expect(shown.replace(/ 1\d\d seconds/g, " N seconds")).toBe(
      "10.0.0.1 timed out N seconds ago; # recent timeouts: 2\n" +
        "2001:db8::1 timed out N seconds ago; # recent timeouts: 1\n",
    );
    await run("qmail-tcpok", []);
    expect(readFileSync(path, "utf8")).toBe("");
    expect(await run("qmail-tcpto", [])).toBe("");
  });
});
