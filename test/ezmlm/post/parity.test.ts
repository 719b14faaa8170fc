/** The programs of a post's way do the same in process and as the commands a user types. */
import { readdirSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { makeList, type TestList, ways } from "../../support/ezmlm.ts";

const POST = "To: joe-list@lists.example.org\nSubject: Hello\n\nText.\n";
const env = { SENDER: "stranger@x.example" };

async function moderated(): Promise<TestList> {
  const list = await makeList(["-m"]);
  await list.run("ezmlm-sub", { args: ["{DIR}", "reader@sub.example"] });
  await list.run("ezmlm-sub", { args: ["{DIR}", "mod", "mod@example.com"] });
  return list;
}

describe.each(ways)("%s", (_way, run) => {
  test("ezmlm-reject takes, refuses and drops", async () => {
    const { dir } = await moderated();
    const check = async (stdin: string, ...args: string[]) => {
      const ran = await run("ezmlm-reject", { env, args: [...args, dir], stdin });
      return [ran.code, ran.stdout, ran.stderr, ran.mails.length];
    };
    expect(await check(POST)).toEqual([0, "", "", 0]);
    expect(await check(`Precedence: bulk\n${POST}`)).toEqual([
      99,
      "",
      "ezmlm-reject: info: Bulk or junk mail, ignored.\n",
      0,
    ]);
    expect((await check(POST.replace("Hello", "help")))[0]).toBe(100);
    expect((await check(POST.replace("Hello", "help"), "-f"))[0]).toBe(99);
    expect(await check(POST, "-x")).toEqual([
      100,
      "",
      expect.stringMatching(/^ezmlm-reject: illegal option -- x\nezmlm-reject: usage: /),
      0,
    ]);
    expect(await check(POST, "-v")).toEqual([0, "", expect.stringMatching(/version: /), 0]);
  });

  test("ezmlm-store asks, ezmlm-moderate carries out, ezmlm-clean has nothing to do", async () => {
    const { dir } = await moderated();
    for (const [word, place] of [
      ["accept", "accepted"],
      ["reject", "rejected"],
    ] as const) {
      const stored = await run("ezmlm-store", { env, args: [dir], stdin: POST });
      expect(stored.code, stored.stderr).toBe(0);
      expect(stored.stderr).toMatch(/^ezmlm-store: info: qp \S+\n$/);
      expect(stored.mails[0]?.recipients).toEqual(["mod@example.com"]);
      const command = new RegExp(`joe-list-${word}-([\\d.]+\\.[a-p]{20})@`);
      const rest = command.exec(stored.mails[0]?.bytes.toString() ?? "")?.[1] ?? "";
      const decided = await run("ezmlm-moderate", {
        env: { SENDER: "mod@example.com", LOCAL: `joe-list-${word}-${rest}`, DEFAULT: rest },
        args: [dir],
        stdin: "Subject: Re\n\n%%%\nno\n%%%\n",
      });
      expect(decided.code, decided.stderr).toBe(0);
      expect(decided.mails[0]?.recipients).toEqual([
        word === "accept" ? "reader@sub.example" : "stranger@x.example",
      ]);
      expect(readdirSync(join(dir, "mod/pending"))).toEqual([]);
      expect(readdirSync(join(dir, "mod", place))).toHaveLength(1);
    }
    expect((await run("ezmlm-clean", { args: [dir] })).code).toBe(0);
  });

  test("ezmlm-confirm and ezmlm-gate run what they name", async () => {
    const list = await moderated();
    list.write("confirmpost");
    const stored = await run("ezmlm-store", { env, args: [list.dir], stdin: POST });
    const rest =
      /joe-list-confirm-([\d.]+\.[a-p]{20})@/.exec(stored.mails[0]?.bytes.toString() ?? "")?.[1] ??
      "";
    const confirmed = await run("ezmlm-confirm", {
      env: { ...env, LOCAL: `joe-list-confirm-${rest}`, DEFAULT: rest },
      args: [list.dir, "ezmlm-gate", "-Y", list.dir, "."],
      stdin: "Subject: Re\n\n",
    });
    expect(confirmed.code, confirmed.stderr).toBe(0);
    expect(readdirSync(join(list.dir, "mod/unconfirmed"))).toEqual([]);
    expect(readdirSync(join(list.dir, "mod/pending"))).toHaveLength(1);
  });
});
