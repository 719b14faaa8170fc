import { readdirSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { type BareList, bareList } from "../../support/bare-list.ts";

const POST = "To: joe-list@lists.example.org\nSubject: Hello\n\nText.\n";
const MEMBER = "ann@example.net";
const STRANGER = "stranger@x.example";

async function gated(): Promise<BareList> {
  const list = await bareList({ modpost: "", "allow/lock": "" });
  await list.subscribe("mod", "mod@example.com");
  return list;
}

/** posted, moderated, or the exit code. */
async function run(list: BareList, sender: string, ...args: string[]): Promise<string> {
  const ran = await list.run("ezmlm-gate", { env: { SENDER: sender }, args, stdin: POST });
  if (ran.code !== 0) {
    expect(ran.mails).toEqual([]);
    return String(ran.code);
  }
  expect(ran.mails).toHaveLength(1);
  return ran.mails[0]?.sender.endsWith("-@[]") ? "posted" : "moderated";
}

describe("ezmlm-gate", () => {
  test("posts for who is in a database and asks moderators for the others", async () => {
    const list = await gated();
    await list.subscribe("allow", "friend@x.example");
    expect(await run(list, MEMBER, "{DIR}", ".", "allow")).toBe("posted");
    expect(await run(list, "Friend@X.example", "{DIR}", ".", "allow")).toBe("posted");
    expect(await run(list, STRANGER, "{DIR}", ".", "allow")).toBe("moderated");
    expect(await run(list, MEMBER, "{DIR}", "allow")).toBe("moderated");
    expect(await run(list, MEMBER, "{DIR}")).toBe("moderated");
    expect(await run(list, "", "{DIR}", ".")).toBe("100");
  });

  test.each([
    ["exit 99", "posted"],
    ["exit 100", "moderated"],
    ["exit 111", "111"],
    ["exit 1", "100"],
    ["kill -9 $$", "111"],
    ["exit 0", "posted"],
    ["exit 0\n# comment\n\n|exit 100\nexit 99", "moderated"],
    ["grep -q '^Subject: Hello' || exit 111\ngrep -q '^Text' && exit 100", "moderated"],
    ["no-such-command", "100"],
  ])("-q file with %j: %s", async (commands, expected) => {
    const list = await gated();
    list.write("judge", `${commands}\n`);
    expect(await run(list, STRANGER, "-q", "judge", "{DIR}")).toBe(expected);
  });

  test("-q: when all go on, the databases decide; a missing file is an error", async () => {
    const list = await gated();
    list.write("judge", "exit 0\n");
    expect(await run(list, STRANGER, "-qjudge", "{DIR}", ".")).toBe("moderated");
    expect(await run(list, MEMBER, "-qjudge", "{DIR}", ".")).toBe("posted");
    expect(await run(list, MEMBER, "-qmissing", "{DIR}", ".")).toBe("100");
  });

  test("-0 only tells, with the last word of each option", async () => {
    const list = await gated();
    const tell = async (sender: string, ...args: string[]) =>
      (await list.run("ezmlm-gate", { env: { SENDER: sender }, args, stdin: POST })).stdout;
    expect(await tell(MEMBER, "-0rMpPcC", "{DIR}", ".")).toBe(`ezmlm-send -C -r ${list.dir}\n`);
    expect(await tell(STRANGER, "-0rMPpcCQ", "{DIR}", ".")).toBe(
      `ezmlm-store -C -r -M -p ${list.dir}\n`,
    );
    expect([list.has("num"), readdirSync(join(list.dir, "mod/pending"))]).toEqual([false, []]);
  });

  test("-P: strangers are refused, not moderated", async () => {
    expect(await run(await gated(), STRANGER, "-P", "{DIR}", ".")).toBe("100");
  });
});
