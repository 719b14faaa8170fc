import { rmSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { type BareList, bareList } from "../../support/bare-list.ts";

async function post(list: BareList, from: string, subject: string): Promise<void> {
  const stdin = `Received: by here; 14 Nov 2023 22:13:20 -0000
Date: 1 Dec 99 01:02:03 +0100
From: ${from}
To: joe-list@lists.example.org
Subject: ${subject}

x
`;
  const ran = await list.run("ezmlm-send", { env: { SENDER: "joe@example.com" }, stdin });
  expect(ran.code).toBe(0);
}

const joe = '"Joe User" <joe-list@example.com>';

async function archive(): Promise<BareList> {
  const list = await bareList();
  for (const subject of ["Re: Hello World", "Re: hello world"]) await post(list, joe, subject);
  await post(list, "Ann <ann@other.example>", "Other topic");
  await post(list, joe, "Hello World");
  return list;
}

test("ezmlm-archive files threads, subjects and authors as ezmlm does (golden G8)", async () => {
  const list = await archive();
  expect((await list.run("ezmlm-archive")).code).toBe(0);
  expect(list.read("archive/threads/202311")).toBe(
    "4:ooglnecamlenokomobla [3] Re: Hello World\n3:ahhhidmmlcopgpmhijim [1] Other topic\n",
  );
  expect(list.read("archive/subjects/oo/glnecamlenokomobla")).toBe(
    "ooglnecamlenokomobla Re: Hello World\n" +
      [1, 2, 4].map((n) => `${n}:202311:pjemhgnfechpnpnhdnik Joe User\n`).join(""),
  );
  expect(list.read("archive/authors/pj/emhgnfechpnpnhdnik")).toMatch(
    /^pjemhgnfechpnpnhdnik Joe User\n1:202311:ooglnecamlenokomobla Re: Hello World\n/,
  );
  expect(list.read("archnum")).toBe("4\n");
  await post(list, joe, "Re: hello  WORLD");
  await list.run("ezmlm-archive");
  expect(list.read("archive/threads/202311")).toBe(
    "3:ahhhidmmlcopgpmhijim [1] Other topic\n5:ooglnecamlenokomobla [4] Re: Hello World\n",
  );
});

test("ezmlm-archive may run over the same messages again", async () => {
  const list = await archive();
  await list.run("ezmlm-archive");
  const before = list.read("archive/subjects/oo/glnecamlenokomobla");
  expect((await list.run("ezmlm-archive", { args: ["-c", "{DIR}"] })).code).toBe(0);
  expect(list.read("archive/subjects/oo/glnecamlenokomobla")).toBe(before);
  expect((await list.run("ezmlm-archive")).code).toBe(0);
});

test.each([
  ["half a number", "1"],
  ["half a line", "5:2023"],
  ["zeros", "\0\0\0\0\0\0"],
])("ezmlm-archive drops what a crash left of a line: %s", async (_what, rest) => {
  const list = await archive();
  await list.run("ezmlm-archive");
  const path = "archive/authors/pj/emhgnfechpnpnhdnik";
  const before = list.read(path);
  list.write(path, before + rest);
  await post(list, joe, "Another");
  expect((await list.run("ezmlm-archive")).code).toBe(0);
  expect(list.read(path).startsWith(before)).toBe(true);
  expect(list.read(path).slice(before.length)).toMatch(/^5:202311:[a-p]{20} Another\n$/);
});

test("ezmlm-idx takes in posts that come while it works, and lets them come", async () => {
  const list = await archive();
  for (let n = 5; n <= 101; n++) await post(list, joe, `topic ${n}`);
  for (const name of ["indexed", "archive/0/index", "archive/1/index"])
    rmSync(join(list.dir, name));
  await Promise.all([list.run("ezmlm-idx"), post(list, joe, "topic 102"), list.run("ezmlm-idx")]);
  const numbers = ["0", "1"].flatMap((block) =>
    [...list.read(`archive/${block}/index`).matchAll(/^(\d+): /gm)].map((match) =>
      Number(match[1]),
    ),
  );
  expect(numbers).toEqual(Array.from({ length: 102 }, (_, at) => at + 1));
});

test("ezmlm-archive warns of messages the index lacks; an empty list is refused", async () => {
  const list = await archive();
  list.write("archive/0/index", "");
  const ran = await list.run("ezmlm-archive");
  expect([ran.code, ran.stderr]).toEqual([99, expect.stringContaining("ezmlm-idx")]);
  expect((await (await bareList()).run("ezmlm-archive")).code).toBe(100);
});

test("ezmlm-idx makes the index ezmlm-send made, and with -d one with the authors' dates", async () => {
  const list = await archive();
  const before = list.read("archive/0/index");
  const { rmSync } = await import("node:fs");
  rmSync(`${list.dir}/archive/0/index`);
  rmSync(`${list.dir}/indexed`);
  expect((await list.run("ezmlm-idx")).code).toBe(0);
  expect(list.read("archive/0/index")).toBe(before);
  expect(list.has("indexed")).toBe(true);
  await list.run("ezmlm-idx", { args: ["-d", "{DIR}"] });
  expect(list.read("archive/0/index")).toContain("\t1 Dec 1999 00:02:03 -0000;");
  expect((await (await bareList()).run("ezmlm-idx")).code).toBe(100);
});
