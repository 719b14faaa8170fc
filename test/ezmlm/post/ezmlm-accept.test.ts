import { readdirSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { bareList } from "../../support/bare-list.ts";

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
});
