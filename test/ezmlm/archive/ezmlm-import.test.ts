import { readdirSync, rmSync, utimesSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { bareList } from "../../support/bare-list.ts";

const mbox = `junk

From ann@example.net Sat Nov 21 01:36:17 2026
Subject: one

From the body
>From me

>>From you

From MAILER-DAEMON Sat Nov 21 01:36:18 2026
Subject: two

${"x".repeat(600)}
`;

test("ezmlm-import appends the messages of an mbox to the archive", async () => {
  const list = await bareList({ num: "7:5\n" });
  const ran = await list.run("ezmlm-import", { stdin: mbox });
  expect([ran.code, ran.stderr]).toEqual([0, "ezmlm-import: info: 2 messages\n"]);
  expect(list.read("archive/0/08")).toBe(
    "Return-Path: <ann@example.net>\nSubject: one\n\nFrom the body\nFrom me\n\n>From you\n",
  );
  expect(list.read("archive/0/09")).toBe(`Return-Path: <>\nSubject: two\n\n${"x".repeat(600)}\n`);
  expect(list.mode("archive/0/09")).toBe(0o744);
  expect(list.read("num")).toBe("9:7\n");
});

test("ezmlm-import reads a file in DIR, and leaves num alone when it is not there", async () => {
  const list = await bareList({ box: mbox });
  expect((await list.run("ezmlm-import", { args: ["{DIR}", "box"] })).code).toBe(0);
  expect(list.read("num")).toBe("2:2\n");
  expect((await list.run("ezmlm-import", { args: ["{DIR}", "no"] })).code).toBe(111);
  expect(list.read("num")).toBe("2:2\n");
});

test("ezmlm-import writes over no message of the archive when num was lost or set back", async () => {
  const list = await bareList();
  await list.run("ezmlm-import", { stdin: mbox });
  const second = list.read("archive/0/02");
  // A file as young as num may be what a crash left.
  const grownOld = (): void => {
    for (const name of readdirSync(join(list.dir, "archive/0"))) {
      utimesSync(join(list.dir, "archive/0", name), 1_700_000_000, 1_700_000_000);
    }
  };
  for (const [num, expected] of [
    ["", "4:2\n"],
    ["0:0\n", "6:2\n"],
  ] as const) {
    grownOld();
    list.write("num", num);
    const ran = await list.run("ezmlm-import", { stdin: mbox });
    expect(ran.stderr).toContain(`ezmlm-import: warning: ${list.dir}/num did not count message`);
    expect(ran.stderr).toContain("ezmlm-import: info: 2 messages\n");
    expect([list.read("archive/0/02"), list.read("num")]).toEqual([second, expected]);
  }
  grownOld();
  rmSync(join(list.dir, "archive/0/05"));
  list.write("num", "4:0\n");
  expect((await list.run("ezmlm-import", { stdin: mbox })).code).toBe(0);
  expect(list.read("archive/0/06")).toBe(second);
  expect(list.has("archive/0/07")).toBe(true);
});
