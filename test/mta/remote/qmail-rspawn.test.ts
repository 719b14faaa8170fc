import {
  chmodSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { recipientMark } from "../../../src/lib/header-prefix.ts";
import { QueueEnd } from "../../support/queue-end.ts";
import { type SinkOptions, SmtpSink } from "../../support/smtp-sink.ts";

let sink: SmtpSink;
let queue: QueueEnd;

async function begin(options: SinkOptions = {}, env: Record<string, string> = {}): Promise<void> {
  sink = await SmtpSink.start(options);
  queue = new QueueEnd({ me: "me.example\n", smtproutes: `:127.0.0.1:${sink.port}\n` });
  const temporary = join(queue.home, "tmp");
  mkdirSync(temporary);
  await queue.start("qmail-rspawn", { TMPDIR: temporary, ...env });
}

beforeEach(() => {
  sink = undefined as never;
});

afterEach(async () => {
  await queue.stop();
  await sink.stop();
  expect(queue.problems).toEqual([]);
});

const recipients = (count: number, host = "h.example"): string[] =>
  Array.from({ length: count }, (_, at) => `r${at}@${host}`);
const allOf = (first: number, count: number) => (): boolean =>
  Array.from({ length: count }, (_, at) => first + at).every((n) => queue.reports.has(n));

describe("qmail-rspawn", () => {
  it("delivers a slot with VERP senders and reports each delivery once", async () => {
    await begin();
    queue.small(7, Buffer.from("Subject: x\n\nhello\n"));
    const list = recipients(150);
    list[3] = "550x@h.example";
    queue.slot(7, 100, "list-return-1-@me.example-@[]", list);
    await queue.until(allOf(100, 150));
    expect(queue.verdicts(100, 150)).toBe(`KKKD${"K".repeat(146)}`);
    expect(queue.reports.get(103)?.text).toBe(
      "127.0.0.1 does not like recipient.\nRemote host said: 550 as you wished\n" +
        "Giving up on 127.0.0.1.\n",
    );
    expect(sink.messages[0]).toMatchObject({
      sender: "list-return-1-r0=h.example@me.example",
      recipients: ["r0@h.example"],
      text: "Subject: x\n\nhello\n",
    });
    expect(sink.connections).toBe(1);
    expect(queue.fetches).toEqual([]);
  });

  it("fills the prefix of a message for each recipient, as the submitter named it", async () => {
    await begin();
    queue.small(7, Buffer.from("Subject: x\n\nhello\n"));
    queue.slot(7, 1, "a@me.example", recipients(2), `X-For: ${recipientMark}\n`);
    await queue.until(allOf(1, 2));
    expect(sink.messages.map((m) => m.text)).toEqual([
      "X-For: r0=h.example\nSubject: x\n\nhello\n",
      "X-For: r1=h.example\nSubject: x\n\nhello\n",
    ]);
  });

  it("reports recipients that end together in one frame", async () => {
    await begin();
    queue.small(7, Buffer.from("x\n"));
    queue.slot(7, 1, "a@me.example", recipients(100));
    await queue.until(allOf(1, 100));
    expect(queue.reportFrames).toBe(1);
  });

  it("expands VERP from the original and sends to the routed address", async () => {
    await begin();
    queue.small(1, Buffer.from("x\n"));
    queue.send({
      type: "remote",
      message: 1,
      token: Buffer.from("token 1"),
      sizeBytes: 2,
      bodyType: "7bit",
      sender: "l-@me.example-@[]",
      prefix: "",
      first: 1,
      recipients: [{ original: "a%b@hack.example", routed: "a@b" }],
    });
    await queue.until(allOf(1, 1));
    expect(sink.messages[0]).toMatchObject({
      sender: "l-a%b=hack.example@me.example",
      recipients: ["a@b"],
    });
  });

  it("puts recipients at many hosts behind one relay in one transaction", async () => {
    await begin();
    queue.small(1, Buffer.from("x\n"));
    const list = Array.from({ length: 100 }, (_, at) => `r${at}@h${at % 40}.example`);
    queue.slot(1, 1, "a@me.example", list);
    await queue.until(allOf(1, 100));
    expect(sink.connections).toBe(1);
    expect(sink.messages.map((m) => m.recipients.length)).toEqual([100]);
  });

  it("fetches a large body once for all slots, in a file without a name", async () => {
    await begin();
    const body = Buffer.from(`Subject: big\n\n${`${"x".repeat(60)}\n.\n`.repeat(20000)}`);
    queue.bodies.set(9, body);
    queue.slot(9, 1, "a@me.example", recipients(2));
    queue.slot(9, 3, "a@me.example", recipients(2, "other.example"));
    await queue.until(allOf(1, 4));
    expect(queue.verdicts(1, 4)).toBe("KKKK");
    expect(queue.fetches).toEqual([9]);
    expect(sink.messages.map((m) => m.text === body.toString())).toEqual([true, true]);
    expect(readdirSync(join(queue.home, "tmp"))).toEqual([]);
    queue.send({ type: "forget", message: 9 });
    queue.slot(9, 5, "a@me.example", recipients(1));
    await queue.until(allOf(5, 1));
    expect(queue.fetches).toEqual([9, 9]);
  });

  it("asks for a small body it does not have, and defers when there is none", async () => {
    await begin();
    queue.bodies.set(5, Buffer.from("late\n"));
    queue.slot(5, 1, "a@me.example", recipients(1));
    await queue.until(allOf(1, 1));
    expect(sink.messages[0]?.text).toBe("late\n");
    queue.slot(6, 10, "a@me.example", recipients(2));
    await queue.until(allOf(10, 2));
    expect(queue.reports.get(10)).toMatchObject({
      verdict: "Z",
      text: "Unable to read message. (#4.3.0)\n",
    });
  });

  it("refuses an address without host, sorts a slot by host, and rereads smtproutes", async () => {
    await begin();
    const other = await SmtpSink.start();
    try {
      queue.small(1, Buffer.from("x\n"));
      const routes = `other.example:127.0.0.1:${other.port}\n:127.0.0.1:${sink.port}\n`;
      writeFileSync(join(queue.home, "control", "smtproutes"), routes);
      queue.slot(1, 1, "a@me.example", ["nohost", "a@other.example", "b@h.example"]);
      await queue.until(allOf(1, 3));
      expect(queue.verdicts(1, 3)).toBe("DKK");
      expect(other.messages).toHaveLength(1);
    } finally {
      await other.stop();
    }
  });

  it("defers everything while its control files cannot be read", async () => {
    sink = await SmtpSink.start();
    queue = new QueueEnd({ smtproutes: `:127.0.0.1:${sink.port}\n` });
    await queue.start("qmail-rspawn");
    queue.small(1, Buffer.from("x\n"));
    queue.slot(1, 1, "a@me.example", recipients(1));
    await queue.until(allOf(1, 1));
    expect(queue.reports.get(1)).toMatchObject({
      verdict: "Z",
      text: "Unable to read control files. (#4.3.0)\n",
    });
    writeFileSync(join(queue.home, "control", "me"), "me.example\n");
    queue.slot(1, 2, "a@me.example", recipients(1));
    await queue.until(allOf(2, 1));
    expect(queue.verdicts(2, 1)).toBe("K");
  });

  it("ignores signals; on stop it lets deliveries end, reports them and exits 0", async () => {
    let release = (): void => {};
    const arrived = new Promise<void>((resolve) => {
      release = resolve;
    });
    await begin({
      answer: (verb) => {
        if (verb === "MAIL") release();
        return undefined;
      },
      pacing: "held",
    });
    for (const name of ["SIGTERM", "SIGINT", "SIGHUP", "SIGALRM"] as const) queue.signal(name);
    queue.small(1, Buffer.from("x\n"));
    queue.slot(1, 1, "l-@me.example-@[]", recipients(30));
    await arrived;
    queue.tell({ type: "stop" });
    await queue.until(() => queue.exitCode !== undefined);
    expect(queue.exitCode).toBe(0);
    expect(queue.verdicts(1, 30)).toBe("K".repeat(30));
  });

  it("exits 111 when the queue is gone", async () => {
    await begin();
    queue.dropQueue();
    await queue.until(() => queue.exitCode !== undefined);
    expect(queue.exitCode).toBe(111);
  });

  it("runs the program in QMAILREMOTE per delivery instead", async () => {
    await begin();
    await queue.stop();
    queue = new QueueEnd({ me: "me.example\n" });
    const program = join(queue.home, "remote");
    writeFileSync(
      program,
      `#!/bin/sh
if [ "$3" = bad@h.example ]; then printf 'hno such person\\0DGiving up\\0'; exit 0; fi
{ echo "$1 $2 $3"; cat; } >> ${queue.home}/ran
printf 'r\\0Ksent\\0'
`,
    );
    chmodSync(program, 0o755);
    await queue.start("qmail-rspawn", { QMAILREMOTE: program });
    queue.small(1, Buffer.from("small\n"));
    queue.slot(1, 1, "l-@me.example-@[]", ["a@h.example", "bad@h.example", "b@h.example"]);
    queue.bodies.set(2, Buffer.from(`${"x".repeat(99)}\n`.repeat(1000)));
    await queue.until(allOf(1, 3));
    queue.slot(2, 4, "", ["c@h.example"]);
    await queue.until(allOf(4, 1));
    expect(queue.verdicts(1, 4)).toBe("KDKK");
    expect(queue.reports.get(2)?.text).toBe("no such personGiving up");
    const ran = readFileSync(join(queue.home, "ran"), "utf8");
    expect(ran.startsWith("h.example l-a=h.example@me.example a@h.example\nsmall\n")).toBe(true);
    expect(ran).toContain("h.example l-b=h.example@me.example b@h.example\nsmall\n");
    expect(ran.endsWith(`h.example  c@h.example\n${`${"x".repeat(99)}\n`.repeat(1000)}`)).toBe(
      true,
    );
    queue.slot(1, 5, "", ["d@h.example"], `X-For: ${recipientMark}\n`);
    await queue.until(allOf(5, 1));
    expect(readFileSync(join(queue.home, "ran"), "utf8")).toMatch(
      /\nh\.example {2}d@h\.example\nX-For: d=h\.example\nsmall\n$/,
    );
    expect(existsSync(program)).toBe(true);
  });
});
