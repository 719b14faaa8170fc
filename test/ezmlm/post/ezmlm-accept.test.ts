import { chmodSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { bareList } from "../../support/bare-list.ts";
import { ways } from "../../support/ezmlm.ts";

test("ezmlm-accept sends what waits in the name of its sender, and leaves half a file alone", async () => {
  const list = await bareList({ modpost: "" });
  const post = "From: joe@x.example\nTo: joe-list@lists.example.org\nSubject: hi\n\nbody\n";
  await list.run("ezmlm-store", { env: { SENDER: "joe@x.example" }, stdin: post });
  const [name = ""] = readdirSync(join(list.dir, "mod/pending"));
  list.write("mod/pending/1.2", "Return-Path: <half@x.example>\n");
  const ran = await list.run("ezmlm-accept", {
    args: ["{DIR}", `{DIR}/mod/pending/${name}`, "{DIR}/mod/pending/1.2"],
  });
  expect(ran.code).toBe(0);
  expect(ran.mails.map((mail) => mail.sender)).toEqual([
    "joe-list-return-1-@lists.example.org-@[]",
  ]);
  expect(list.read("archive/0/01")).toMatch(/^Return-Path: <joe@x\.example>\n/);
  expect(readdirSync(join(list.dir, "mod/pending"))).toEqual(["1.2"]);
  expect(list.read(`mod/accepted/${name}`)).toBe("");
});

test.each(ways)("ezmlm-accept goes on after a post that is refused, %s", async (_way, run) => {
  const list = await bareList({ modpost: "" });
  const files = ["1.1", "1.2"].map((name) => join(list.dir, "mod/pending", name));
  list.write("mod/pending/1.1", "Return-Path: <a@b.c>\nMailing-List: x\nSubject: hi\n\nbody\n");
  list.write("mod/pending/1.2", "Return-Path: <a@b.c>\nSubject: hi\n\nbody\n");
  for (const file of files) chmodSync(file, 0o700);
  const ran = await run("ezmlm-accept", { args: [list.dir, ...files] });
  expect([ran.code, ran.mails.length]).toEqual([100, 1]);
  expect(readdirSync(join(list.dir, "mod/pending"))).toEqual(["1.1"]);
  expect(readdirSync(join(list.dir, "mod/accepted"))).toEqual(["1.2"]);
});
