import { spawnSync } from "node:child_process";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { parseReturnAddress } from "../../../src/ezmlm/bounces/return-address.ts";
import { makeCookie } from "../../../src/ezmlm/list/cookie.ts";
import { type BareList, bareList } from "../../support/bare-list.ts";
import type { RunSettings } from "../../support/ezmlm.ts";
import { plainPath, root } from "../../support/root.ts";

const now = new Date("2026-11-21T08:00:00Z");
const seconds = now.getTime() / 1000;
const key = { key: Buffer.from("0123456789abcdef") };

function comesBack(list: BareList, part: string, settings: RunSettings = {}) {
  return list.run("ezmlm-return", {
    env: { SENDER: "", DEFAULT: part },
    stdin: "From: x\n\nbounce body\n",
    now,
    ...settings,
  });
}

interface Kept {
  readonly address: string;
  readonly bounce: string;
}

/** Bounces kept, by kind. */
function kept(list: BareList, letter: "d" | "w", workdir = "."): Kept[] {
  const top = join(list.dir, workdir, "bounce", "d");
  if (!existsSync(top)) return [];
  return readdirSync(top, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && entry.name.startsWith(letter))
    .map((entry) => {
      const [address = "", ...rest] = readFileSync(
        join(entry.parentPath, entry.name),
        "utf8",
      ).split("\0");
      return { address, bounce: rest.join("\0") };
    })
    .sort((a, b) => (a.address < b.address ? -1 : 1));
}

function subscribers(list: BareList): Promise<string> {
  return list.run("ezmlm-list").then((ran) => ran.stdout);
}

describe("ezmlm-return, bounces of posts (golden G6)", () => {
  test("the first is kept whole, later ones as numbers, each once", async () => {
    const list = await bareList({}, ["joe@example.com"]);
    for (const part of ["1-joe=example.com", "2-joe=example.com", "1-joe=example.com"]) {
      expect(await comesBack(list, part)).toMatchObject({ code: 99, stdout: "", stderr: "" });
    }
    expect(list.read("bounce/h/n/hkdaabfigfiennhoddcc")).toBe("   1\n   2\n");
    expect(kept(list, "d")).toEqual([
      { address: "joe@example.com", bounce: "Return-Path: <>\nFrom: x\n\nbounce body\n" },
    ]);
    const slot = Math.floor(seconds / 10_000);
    const names = readdirSync(join(list.dir, "bounce/d", String(slot)));
    expect(names).toEqual([`d${seconds % 10_000}.${process.pid}`]);
  });

  test("in the spelling of the subscriber list, whatever a server made of it", async () => {
    const list = await bareList({}, ["Joe@example.com"]);
    await comesBack(list, "1-joe=EXAMPLE.COM");
    expect(kept(list, "d").map((each) => each.address)).toEqual(["Joe@example.com"]);
  });

  test("an address with a hyphen and digits in front", async () => {
    const list = await bareList({}, ["5-ann@example.net", "bob@example.net"]);
    await comesBack(list, "1-5-ann=example.net");
    await comesBack(list, "1-7-bob=example.net");
    expect(kept(list, "d").map((each) => each.address)).toEqual([
      "5-ann@example.net",
      "bob@example.net",
    ]);
  });

  test("nobody but subscribers, and not those an entry @domain covers", async () => {
    const list = await bareList({}, ["ann@example.net", "@example.com"]);
    expect((await comesBack(list, "1-eve=example.net")).code).toBe(99);
    expect((await comesBack(list, "1-eve=example.com")).code).toBe(99);
    expect(list.has("bounce")).toBe(false);
  });

  test("a bounce of an answer is dropped", async () => {
    const list = await bareList();
    expect((await comesBack(list, "")).code).toBe(99);
    expect(list.has("bounce")).toBe(false);
  });

  test("a huge bounce costs the disk a bounded part", async () => {
    const list = await bareList();
    await comesBack(list, "1-ann=example.net", {
      stdin: Buffer.concat([Buffer.from("Subject: x\n\n"), Buffer.alloc(2_000_000, "x\n")]),
    });
    expect(kept(list, "d")[0]?.bounce.length).toBeLessThan(300_000);
  });

  test("a bounce the disk took half of is not acknowledged", async () => {
    const list = await bareList();
    // No file may grow beyond 40 KiB: like a full disk, the last write gets a part out first.
    const line = `ulimit -f 80; exec '${join(root, "bin/ezmlm-return")}' '${list.dir}'`;
    const ran = spawnSync("/bin/sh", ["-c", line], {
      env: { PATH: plainPath, SENDER: "", DEFAULT: "1-ann=example.net" },
      input: `Subject: x\n\n${"x".repeat(50_000)}\n`,
      encoding: "utf8",
    });
    expect([ran.status, ran.stderr]).toEqual([111, expect.stringContaining("Unable to write")]);
    expect(kept(list, "d")).toEqual([]);
  });

  test("forged numbers cannot fill the disk", async () => {
    const list = await bareList({}, ["joe@example.com"]);
    list.write("bounce/h/n/hkdaabfigfiennhoddcc", "   1\n".repeat(30_000));
    await comesBack(list, "9-joe=example.com");
    expect(list.read("bounce/h/n/hkdaabfigfiennhoddcc")).not.toContain("9");
  });
});

describe("ezmlm-return, reports on a post whose sender was not expanded", () => {
  const qsbmf = `Date: 21 Nov 2026 08:00:00 -0000
From: MAILER-DAEMON@lists.example.org
Subject: failure notice
Auto-Submitted: auto-replied

Hi. This is the qmail-send program at lists.example.org.
I'm afraid I wasn't able to deliver your message.

<ann@example.net>:
Sorry, no mailbox here by that name. (#5.1.1)

<bob@example.net>:
<eve@example.net>: mailbox full.

<stranger@example.net>:
Unknown.

--- Below this line is a copy of the message.

Return-Path: <joe-list-return-1-@lists.example.org>

<carl@example.net>:
quoted by the post
`;

  test("qmail-send: each gets the own paragraph to see and nobody else's", async () => {
    const list = await bareList({}, ["ann@example.net", "bob@example.net", "carl@example.net"]);
    expect((await comesBack(list, "3-", { stdin: qsbmf })).code).toBe(99);
    const [ann, bob, ...more] = kept(list, "d");
    expect([ann?.address, bob?.address, more]).toEqual(["ann@example.net", "bob@example.net", []]);
    expect(ann?.bounce).toContain("Subject: failure notice\n");
    expect(ann?.bounce).toContain("<ann@example.net>:\nSorry, no mailbox");
    expect(ann?.bounce).not.toContain("bob@example.net");
    expect(bob?.bounce).not.toContain("ann@example.net");
  });

  test("a delivery status: who failed, by the original recipient", async () => {
    const list = await bareList({}, ["ann@example.net", "bob@example.net", "carl@example.net"]);
    const stdin = `Content-Type: multipart/report; report-type=delivery-status; boundary=b

--b
Content-Type: message/delivery-status

Reporting-MTA: dns; x

Original-Recipient: rfc822; <ann@example.net>
Final-Recipient: rfc822; ann@inside.example
Action: failed
Status: 5.1.1

Final-Recipient: rfc822; bob@example.net
Action: delayed

Final-Recipient: rfc822; carl@example.net
Action: failed
--b--
`;
    await comesBack(list, "3-", { stdin });
    expect(kept(list, "d").map((each) => each.address)).toEqual([
      "ann@example.net",
      "carl@example.net",
    ]);
  });

  test("a re-run finishes what was begun and repeats nothing", async () => {
    const list = await bareList();
    await comesBack(list, "3-", { stdin: qsbmf });
    await comesBack(list, "3-", { stdin: qsbmf });
    expect(kept(list, "d")).toHaveLength(2);
  });

  test("a huge header is not held once for each of the many a report names", async () => {
    const list = await bareList();
    const names = Array.from({ length: 1000 }, (_, n) => `<x${n}@example.com>:\nno\n\n`).join("");
    const header = `Subject: x\nX-Long: ${"x".repeat(400_000)}\n`;
    const before = process.memoryUsage().arrayBuffers;
    let during = 0;
    await comesBack(list, "3-", {
      stdin: `${header}\nHi. This is the\n\n${names}<ann@example.net>:\nno\n\n--- x`,
      host: {
        // Asked when the only subscriber's bounce is kept.
        now() {
          during = process.memoryUsage().arrayBuffers;
          return now;
        },
      },
    });
    expect(during).toBeGreaterThan(0);
    expect(during - before).toBeLessThan(50_000_000);
    const [ann] = kept(list, "d");
    expect(ann?.address).toBe("ann@example.net");
    expect(ann?.bounce).toBe("Return-Path: <>\nSubject: x\n\n<ann@example.net>:\nno\n");
  });

  test("anything else names nobody", async () => {
    const list = await bareList();
    for (const stdin of ["", "Subject: x\n\n<ann@example.net>:\n", Buffer.from([0, 255, 10, 10])]) {
      expect((await comesBack(list, "3-", { stdin })).code).toBe(99);
    }
    expect(kept(list, "d")).toEqual([]);
  });
});

describe("ezmlm-return, bounces of warnings and probes", () => {
  const part = (kind: "warn" | "probe", at: number, address: string, cookie?: string): string => {
    const action = kind === "warn" ? "W" : "P";
    const right = makeCookie(key, { action, date: String(at), address });
    return `${kind}-${at}.${cookie ?? right}-${address.replace(/@([^@]*)$/, "=$1")}`;
  };

  test("a warning is kept for the probe, a probe ends the subscription", async () => {
    const list = await bareList();
    await comesBack(list, part("warn", seconds, "ann@example.net"));
    expect(kept(list, "w").map((each) => each.address)).toEqual(["ann@example.net"]);
    expect(await subscribers(list)).toContain("ann@example.net");
    await comesBack(list, part("probe", seconds, "ann@example.net"));
    expect(await subscribers(list)).toBe("bob@example.net\n");
    expect(list.read("Log")).toContain(`${seconds} -probe ann@example.net\n`);
  });

  test.each([
    ["a cookie made up", part("probe", seconds, "ann@example.net", "a".repeat(20))],
    [
      "the cookie of another address",
      part("probe", seconds, "bob@example.net").replace("bob", "ann"),
    ],
    [
      "the cookie of another time",
      part("probe", seconds - 1, "ann@example.net").replace(`${seconds - 1}`, `${seconds}`),
    ],
    ["the cookie of a warning", part("warn", seconds, "ann@example.net").replace("warn", "probe")],
    ["too old", part("probe", seconds - 3_000_001, "ann@example.net")],
    ["from the future", part("probe", seconds + 10, "ann@example.net")],
  ])("%s changes nothing and says nothing", async (_what, DEFAULT) => {
    const list = await bareList();
    expect(await comesBack(list, DEFAULT)).toMatchObject({ code: 99, stderr: "", stdout: "" });
    expect(await subscribers(list)).toBe("ann@example.net\nbob@example.net\n");
    expect(list.has("bounce")).toBe(false);
  });

  test("just in time still counts, also for who left meanwhile", async () => {
    const list = await bareList();
    const probe = part("probe", seconds - 3_000_000, "ann@example.net");
    await comesBack(list, probe);
    expect(await subscribers(list)).toBe("bob@example.net\n");
    expect((await comesBack(list, probe)).code).toBe(99);
    expect(list.read("Log").match(/-probe/g)).toHaveLength(1);
  });

  test("an entry @domain is not removed by a probe", async () => {
    const list = await bareList({}, ["@example.net"]);
    await comesBack(list, part("probe", seconds, "ann@example.net"));
    expect(await subscribers(list)).toBe("@example.net\n");
  });
});

describe("ezmlm-return, hostile addresses", () => {
  test.each([
    "x",
    "1",
    "-ann=example.net",
    "1-ann",
    "1-=example.net",
    "1-ann=",
    "receipt-abc-1-ann=example.net",
    "m-1-ann=example.net",
    "9999999999999999-ann=example.net",
    "warn-1.abc-ann=example.net",
    "../../../../etc/passwd",
    "1-\n",
  ])("%j is refused and leaves nothing", async (DEFAULT) => {
    const list = await bareList();
    expect((await comesBack(list, DEFAULT)).code).toBe(100);
    expect(list.has("bounce")).toBe(false);
  });

  test("names of files never come from an address", async () => {
    const nasty = ["../../../x@example.net", "/etc/x@example.net", "a\u0001b%s$(id)@example.net"];
    const list = await bareList({}, nasty);
    const before = readdirSync(join(list.dir, "..")).sort();
    for (const address of nasty) {
      const reply = await comesBack(list, `1-${address.replace(/@([^@]*)$/, "=$1")}`);
      expect(reply.code).toBe(99);
    }
    expect(kept(list, "d").map((each) => each.address)).toEqual([...nasty].sort());
    expect(readdirSync(join(list.dir, "..")).sort()).toEqual(before);
    const files = readdirSync(join(list.dir, "bounce"), { recursive: true }).map(String);
    for (const name of files)
      expect(name).toMatch(/^[dh](\/(\d+|[a-p])(\/(d\d+\.\d+(\.\d+)?|h[a-p]{19}))?)?$/);
  });

  test("a SENDER with line breaks stays on its line", async () => {
    const list = await bareList();
    const env = { SENDER: "a\nb\0c@d", DEFAULT: "1-ann=example.net" };
    await comesBack(list, "", { env });
    expect(kept(list, "d")[0]?.bounce.split("\n")[0]).toMatch(/^Return-Path: <[^\n\0]*>$/);
  });

  test("SENDER and DEFAULT must be there", async () => {
    const list = await bareList();
    for (const env of [{ SENDER: "" }, { DEFAULT: "" }]) {
      expect((await comesBack(list, "", { env })).code).toBe(100);
    }
  });

  test("parseReturnAddress() reads or refuses, and never throws anything else", () => {
    const piece = fc.oneof(
      fc.string(),
      fc.constantFrom("warn-", "probe-", "1700000000.", "a".repeat(20), "-", "=", "1-", "@", "\n"),
    );
    fc.assert(
      fc.property(fc.array(piece, { maxLength: 8 }), (pieces) => {
        try {
          parseReturnAddress(pieces.join(""));
        } catch (error) {
          expect(error).toMatchObject({ exitCode: 100 });
        }
      }),
    );
  });
});

test("ezmlm-return -d works on the digest alone", async () => {
  const list = await bareList({ "digest/lockbounce": "" });
  await list.subscribe("digest", "ann@example.net");
  await comesBack(list, "1-ann=example.net", { args: ["-d", "{DIR}"] });
  await comesBack(list, "1-bob=example.net", { args: ["-d", "{DIR}"] });
  expect(kept(list, "d")).toEqual([]);
  expect(kept(list, "d", "digest").map((each) => each.address)).toEqual(["ann@example.net"]);
});
