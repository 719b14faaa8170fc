import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { bufferInput } from "../../../src/lib/message-input.ts";
import { type Environment, type Host, runProgram } from "../../../src/lib/program.ts";
import type { Submission } from "../../../src/lib/queue-door.ts";
import { qmailInject } from "../../../src/mta/inject/qmail-inject.ts";

let home = "";
beforeAll(() => {
  home = mkdtempSync(join(tmpdir(), "ezqmail-inject-"));
  mkdirSync(join(home, "control"));
  writeFileSync(join(home, "control", "me"), "test.example\n");
  writeFileSync(join(home, "control", "defaultdomain"), "example\n");
  writeFileSync(join(home, "control", "plusdomain"), "plus.example\n");
});
afterAll(() => rmSync(home, { recursive: true }));

interface Queued {
  message: string;
  sender: string;
  recipients: string[];
}

async function inject(
  args: string[],
  input: string | Buffer,
  env: Environment = {},
  deliveryKey?: string,
) {
  const queued: Queued[] = [];
  const keys: (string | undefined)[] = [];
  let out = "";
  let err = "";
  const host: Host = {
    args,
    env: { USER: "joe", ...env },
    cwd: home,
    stdin: bufferInput(input),
    stdout: {
      write: (data) => {
        out += typeof data === "string" ? data : Buffer.from(data).toString();
      },
      flush: async () => {},
    },
    stderr: {
      write: (data) => {
        err += String(data);
      },
      flush: async () => {},
    },
    queue: {
      carriesPrefix: false,
      keepsKeys: false,
      open(options): Submission {
        const mail: Queued = { message: "", sender: "none", recipients: [] };
        keys.push(options?.key);
        return {
          full: false,
          put: (bytes) => {
            mail.message += Buffer.from(bytes).toString();
          },
          from: (sender) => {
            mail.sender = sender;
          },
          to: (recipient) => {
            mail.recipients.push(recipient);
          },
          drained: async () => {},
          commit: async () => {
            queued.push(mail);
            return { id: "1" };
          },
          abort() {},
        };
      },
    },
    commands: {
      exec: () => Promise.reject(new Error("none")),
      shell: () => Promise.reject(new Error("none")),
    },
    signal: new AbortController().signal,
    home,
    root: home,
    uid: 1,
    gid: 1,
    pid: 27891,
    ...(deliveryKey !== undefined && { deliveryKey }),
    now: () => new Date(1795224859000),
  };
  const code = await runProgram(qmailInject, host);
  return { code, out, err, queued, keys };
}

const generated = [
  "Date: 21 Nov 2026 01:34:19 -0000",
  "Message-ID: <20261121013419.27891.qmail@test.example>",
];

describe("qmail-inject -n, one field", () => {
  const rows: [string, string][] = [
    [
      'To: a b, c@mac, d@x+ (com), Some Group: e@h, f;, "q q"@x.y, <@r1,@r2:g@h.i>, x <y@z.w>',
      'To: a@test.example, b@test.example, c@mac.example, d@x.plus.example (com),\n  Some Group: e@h.example, f@test.example;, "q q"@x.y, <g@h.i>, x <y@z.w>',
    ],
    ["Cc: F", "Cc: F@test.example"],
    ["From joe x y", "MBOX-Line: From joe x y"],
    ["To: zz (", "To: zz ("],
    ["To: undisclosed-recipients: ;\nCc: a@b.c;", "To: undisclosed-recipients: ;\nCc: a@b.c;"],
    ["Apparently-To: a@b.c.", "Apparently-To: a@b.c"],
    ["Sender: foo bar", "Sender: foo@test.example, bar@test.example"],
    ["Errors-To: x@", "Errors-To: x@test.example"],
    ["Reply-To: <>", "Reply-To: <>"],
    ["Reply-To: <@foo:>", "Reply-To: <>"],
    ["Reply-To: foo@[]", "Reply-To: foo@[]"],
    ["Reply-To: a@[1.2.3.4]", "Reply-To: a@[1.2.3.4]"],
    ['Reply-To: "a\\b" (c(d)e)', 'Reply-To: "ab"@test.example (cde)'],
    ["Reply-To: <a@b.c> d@e.f", "Reply-To: <a@b.c>, d@e.f"],
    ["Reply-To: J. P. Doe <a@b.c>", "Reply-To: J. P. Doe <a@b.c>"],
    ["X-Other:  kept   as it is", "X-Other:  kept   as it is"],
    ["Content-Length: 12", ""],
  ];
  test.each(rows)("%s", async (field, expected) => {
    const { code, out } = await inject(["-n"], `${field}\n\nbody\n`);
    expect(code).toBe(0);
    const [header = ""] = out.split("\n\n");
    const lines = header
      .split("\n")
      .filter((line) => !/^(Return-Path|Date|Message-ID|From|Cc: recip)/.test(line));
    expect(lines.join("\n")).toBe(expected);
    expect(out.endsWith("\n\nbody\n")).toBe(true);
  });
});

describe("qmail-inject -n, whole messages", () => {
  test("generates Date, Message-ID, From and Cc in this order, before what was there", async () => {
    const { out } = await inject(["-n"], "Subject: x\n\nbody");
    expect(out).toBe(
      [
        "Return-Path: <joe@test.example>",
        ...generated,
        "From: joe@test.example",
        "Cc: recipient list not shown: ;",
        "Subject: x",
        "",
        "body",
        "",
      ].join("\n"),
    );
  });

  test("a header without body stays without empty line", async () => {
    const { out } = await inject(["-n"], "To: a\n");
    expect(out.endsWith("To: a@test.example\n")).toBe(true);
  });

  test("a line that is no field begins the body", async () => {
    const { out } = await inject(["-n"], "notaheader\nmore\n");
    expect(out.endsWith("Cc: recipient list not shown: ;\n\nnotaheader\nmore\n")).toBe(true);
  });

  test("a resent message gets Resent fields only", async () => {
    const { out } = await inject(["-n"], "Resent-To: a\n\n");
    expect(out).toBe(
      [
        "Return-Path: <joe@test.example>",
        ...generated.map((line) => `Resent-${line}`),
        "Resent-From: joe@test.example",
        "Resent-To: a@test.example",
        "",
        "",
      ].join("\n"),
    );
  });

  test("Return-Path becomes the sender, the last address of it, and goes", async () => {
    const one = await inject(["-n"], "Return-Path: <rp@host>\n\n");
    expect(one.out).toMatch(/^Return-Path: <rp@host\.example>\nDate/);
    const two = await inject(["-n"], "Return-Path: <p@q.r>, <s@t.u>\n\n");
    expect(two.out).toMatch(/^Return-Path: <s@t\.u>\nDate/);
    const ignored = await inject(["-n"], "Return-Path: <rp@host>\n\n", { QMAILINJECT: "s" });
    expect(ignored.out).toMatch(/^Return-Path: <joe@test\.example>\n/);
  });

  test("-f takes a raw address and rewrites it", async () => {
    const sender = async (f: string) => (await inject(["-n", "-f", f], "\n")).out.split("\n")[0];
    expect(await sender("x y@h")).toBe('Return-Path: <"x y"@h.example>');
    expect(await sender("foo@bar-@[]")).toBe('Return-Path: <"foo@bar-"@[]>');
    expect(await sender("")).toBe("Return-Path: <>");
  });

  test("QMAILNAME is quoted in From, or a comment with c", async () => {
    const from = async (env: Environment) =>
      (await inject(["-n"], "\n", env)).out.split("\n").find((line) => line.startsWith("From:"));
    expect(await from({ QMAILNAME: 'A "B" C' })).toBe('From: "A \\"B\\" C" <joe@test.example>');
    const env = { QMAILINJECT: "c", QMAILNAME: "A B", QMAILUSER: "u.x y", QMAILHOST: "h" };
    expect(await from(env)).toBe('From: "u.x y"@h.example (A B)');
  });

  test("r and m make the sender one per recipient and message", async () => {
    const env = { QMAILINJECT: "rm", QMAILUSER: "u.x y", QMAILHOST: "h" };
    const { queued } = await inject(["a@b.c"], "\n", env);
    expect(queued[0]?.sender).toBe("u.x y-1795224859.27891-@h.example-@[]");
  });

  test("f and i delete From and Message-ID and make new ones", async () => {
    const input = "From: me@here\nMessage-ID: <old@id>\n\n";
    const { out } = await inject(["-n"], input, { QMAILINJECT: "fi" });
    expect(out).toContain("From: joe@test.example\n");
    expect(out).not.toContain("old@id");
  });

  test("long lists are folded after commas within 80 columns", async () => {
    const list = Array.from({ length: 20 }, (_, n) => `person${n}@example.org`).join(", ");
    const { out } = await inject(["-n"], `To: ${list}\n\n`);
    const to = /^To:.*(?:\n .*)*/m.exec(out)?.[0] ?? "";
    for (const line of to.split("\n")) expect(line.length).toBeLessThanOrEqual(80);
    expect(to.replaceAll(/\n {2}/g, " ")).toBe(`To: ${list}`);
  });

  test("Mail-Followup-To names all of To and Cc when a list is among them", async () => {
    writeFileSync(join(home, "lists"), "# mine\nClub@B.c\n");
    const input = "To: x@y.z, club@b.C\nCc: d@e.f\n\n";
    const { out } = await inject(["-n"], input, { QMAILMFTFILE: "lists" });
    expect(out).toContain("Mail-Followup-To: d@e.f,\n  x@y.z,\n  club@b.C\nTo:");
    const none = await inject(["-n"], "To: x@y.z\n\n", { QMAILMFTFILE: "lists" });
    expect(none.out).not.toContain("Mail-Followup-To");
  });

  test("CRLF input is taken as lines", async () => {
    const { out } = await inject(["-n"], "To: a\r\nSubject: x\r\n\r\none\r\ntwo\r\n");
    expect(out.endsWith("To: a@test.example\nSubject: x\n\none\ntwo\n")).toBe(true);
  });

  test("bytes of a body that are no text pass unchanged", async () => {
    const { queued } = await inject(["a@b.c"], "Subject: \u00fc\n\n\u00e9\0\n");
    expect(queued[0]?.message.endsWith("Subject: \u00fc\n\n\u00e9\0\n")).toBe(true);
  });
});

describe("qmail-inject, envelope", () => {
  const recipients = async (args: string[], input: string) =>
    (await inject(args, input)).queued[0]?.recipients;

  test("addresses of a field come last to first, fields in order", async () => {
    expect(await recipients([], "To: a@b.c, d@e.f\nCc: g@h.i, j@k.l\n\n")).toEqual([
      "d@e.f",
      "a@b.c",
      "j@k.l",
      "g@h.i",
    ]);
  });

  test("-a -h -A -H choose where recipients come from; the last one counts", async () => {
    const input = "To: t@x.y\nBcc: b@x.y\n\n";
    expect(await recipients(["r@x.y"], input)).toEqual(["r@x.y"]);
    expect(await recipients(["-h", "r@x.y"], input)).toEqual(["t@x.y", "b@x.y"]);
    expect(await recipients(["-H", "r@x.y"], input)).toEqual(["r@x.y", "t@x.y", "b@x.y"]);
    expect(await recipients(["-a"], input)).toEqual([]);
    expect(await recipients(["-ha", "-fs@x", "-A", "--", "r@x.y"], input)).toEqual(["r@x.y"]);
  });

  test("a resent message goes to the resent recipients only, and no Bcc leaves", async () => {
    const { queued } = await inject([], "Resent-Bcc: x@y.z\nTo: a@b.c\nBcc: d@e.f\n\n");
    expect(queued[0]?.recipients).toEqual(["x@y.z"]);
    expect(queued[0]?.message).toContain("Resent-Cc: recipient list not shown: ;\n");
    expect(queued[0]?.message).not.toContain("Bcc");
  });

  test("refuses a message whose only recipients cannot be parsed", async () => {
    const { code, err, queued } = await inject([], "To: a@b.c, x: y\n\n");
    expect(code).toBe(100);
    expect(err).toBe("qmail-inject: fatal: unable to parse this line:\nTo: a@b.c, x: y\n");
    expect(queued).toEqual([]);
    expect(await recipients(["r@x.y"], "To: zz (\n\n")).toEqual(["r@x.y"]);
    expect(await recipients([], "To: zz (\nCc: c@x.y\n\n")).toEqual(["c@x.y"]);
  });

  test("refuses a From that cannot be parsed, and wrong options", async () => {
    const from = await inject([], "From: zz (\n\n");
    expect(from.code).toBe(100);
    expect(from.err).toContain("unable to parse this line:\nFrom: zz (");
    expect((await inject(["-q"], "\n")).code).toBe(100);
    expect((await inject(["a@b@(c"], "\n")).err).toContain("unable to parse address: a@b@(c");
  });

  test("inside a delivery the same input has the same key, another one has not", async () => {
    const first = await inject(["a@b.c"], "Subject: x\n\none\n", {}, "12.1");
    const again = await inject(["a@b.c"], "Subject: x\n\none\n", {}, "12.1");
    const other = await inject(["a@b.c"], "Subject: x\n\ntwo\n", {}, "12.1");
    expect(first.keys[0]).toBe(again.keys[0]);
    expect(first.keys[0]).not.toBe(other.keys[0]);
    expect(first.queued[0]?.message.endsWith("one\n")).toBe(true);
  });
});
