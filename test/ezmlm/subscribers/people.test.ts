/** The programs on people, each in process and as the command an owner types. */
import { describe, expect, it } from "vitest";
import { makeList, ways } from "../../support/ezmlm.ts";

describe.each(ways)("ezmlm-sub, ezmlm-unsub, ezmlm-list (%s)", (_way, run) => {
  it("add, show, count and remove, with names and tags for the Log", async () => {
    const { dir, read } = await makeList();
    const stdin = "# comment\n\nann@x.example Ann A.\nbob@x.example\n  cy@x.example,Cy\n";
    expect(await run("ezmlm-sub", { args: ["-n", "-t", "web", dir], stdin })).toMatchObject({
      code: 0,
      stdout: "",
      stderr: "",
    });
    await run("ezmlm-sub", { args: [dir, "digest", "ann@x.example", "dee@x.example"] });
    expect((await run("ezmlm-list", { args: [dir] })).stdout).toBe(
      "ann@x.example\nbob@x.example\ncy@x.example\n",
    );
    expect((await run("ezmlm-list", { args: ["-n", dir, "digest"] })).stdout).toBe("2\n");
    expect(
      (await run("ezmlm-unsub", { args: [dir, "BOB@x.example", "nobody@x.example"] })).code,
    ).toBe(0);
    expect((await run("ezmlm-list", { args: ["-n", dir] })).stdout).toBe("2\n");
    expect(read("Log").replace(/^\d+/gm, "TS")).toBe(
      "TS +web ann@x.example Ann A.\nTS +web bob@x.example\nTS +web cy@x.example Cy\nTS -manual BOB@x.example\n",
    );
  });

  it("say their version as all list programs do, and want a list", async () => {
    for (const name of ["ezmlm-sub", "ezmlm-list", "ezmlm-rmtab", "ezmlm-checksub"]) {
      const ran = await run(name, { args: ["-V"] });
      expect([ran.code, ran.stderr]).toEqual([0, expect.stringMatching(/^ezmlm version: /)]);
      expect((await run(name, { args: [] })).code).toBe(100);
    }
  });

  it("names bad lines, adds the rest and says 100", async () => {
    const { dir } = await makeList();
    const ran = await run("ezmlm-sub", {
      args: [dir],
      stdin: "a@x.example\nno-address\nb@x.example",
    });
    expect(ran.code).toBe(100);
    expect(ran.stderr).toMatch(/^ezmlm-sub: warning: "no-address": [^\n]+\n$/);
    expect((await run("ezmlm-list", { args: ["-n", dir] })).stdout).toBe("2\n");
  });

  it("add nobody when an argument is no address", async () => {
    const { dir } = await makeList();
    const ran = await run("ezmlm-sub", { args: [dir, "a@x.example", "nonsense"] });
    expect(ran.code).toBe(100);
    expect((await run("ezmlm-list", { args: ["-n", dir] })).stdout).toBe("0\n");
  });

  it("empty all databases with ezmlm-rmtab, and the list goes on", async () => {
    const { dir } = await makeList(["-6", "std"]);
    await run("ezmlm-sub", { args: [dir, "a@x.example"] });
    await run("ezmlm-sub", { args: [dir, "mod", "m@x.example"] });
    expect(await run("ezmlm-rmtab", { args: [dir] })).toMatchObject({ code: 0, stderr: "" });
    for (const db of [".", "mod"])
      expect((await run("ezmlm-list", { args: [dir, db] })).stdout).toBe("");
    expect((await run("ezmlm-sub", { args: [dir, "b@x.example"] })).code).toBe(0);
  });

  it.each([
    [
      "a path that is not there",
      ["/nonexistent/list", "a@b.example"],
      111,
      /^ezmlm-sub: fatal: Unable to switch to \/nonexistent\/list: [^\n]+\n$/,
    ],
    [
      "a directory that is no list",
      ["/", "a@b.example"],
      100,
      /^ezmlm-sub: fatal: \/key is missing or empty: not a list directory[^\n]+\n$/,
    ],
    ["no list at all", [], 100, /^ezmlm-sub: usage: ezmlm-sub [^\n]+\n$/],
    [
      "an unknown option",
      ["-x", "/tmp"],
      100,
      /^ezmlm-sub: illegal option -- x\nezmlm-sub: usage: [^\n]+\n$/,
    ],
  ])("say one clear thing about %s", async (_what, args, code, text) => {
    const ran = await run("ezmlm-sub", { args });
    expect(ran.code).toBe(code);
    expect(ran.stderr).toMatch(text);
  });
});

describe.each(ways)("ezmlm-checksub and ezmlm-issubn (%s)", (_way, run) => {
  it("judge SENDER inside its wrapper", async () => {
    const { dir } = await makeList();
    await run("ezmlm-sub", { args: [dir, "ann@x.example"] });
    await run("ezmlm-sub", { args: [dir, "allow", "@friends.example"] });
    const judge = async (program: string, sender: string, ...args: string[]): Promise<number> =>
      (await run(program, { args, env: { SENDER: sender } })).code;
    expect(await judge("ezmlm-checksub", "SRS0=ab12=XY=x.example=ann@relay.example", dir)).toBe(0);
    expect(await judge("ezmlm-checksub", "bob@friends.example", dir)).toBe(100);
    expect(await judge("ezmlm-checksub", "bob@friends.example", dir, ".", "allow")).toBe(0);
    expect(await judge("ezmlm-checksub", "prvs=0123456789=ann@x.example", "-n", dir)).toBe(100);
    expect(await judge("ezmlm-issubn", "ann@x.example", dir)).toBe(0);
    expect(await judge("ezmlm-issubn", "bob@x.example", dir)).toBe(99);
    expect(await judge("ezmlm-issubn", "bob@x.example", "-n", dir)).toBe(0);
    expect(await judge("ezmlm-issubn", "bob@friends.example", dir, `${dir}/allow`)).toBe(0);
  });

  it("put the refusal on standard output, which goes into the bounce", async () => {
    const { dir } = await makeList();
    const env = { SENDER: "who@x.example" };
    const own = await run("ezmlm-checksub", { args: ["-m", "Members only", dir], env });
    expect(own).toMatchObject({ code: 100, stdout: "Members only\n", stderr: "" });
    const ours = await run("ezmlm-checksub", { args: [dir], env });
    expect(ours.stdout).toContain("joe-list-subscribe@lists.example.org");
    expect((await run("ezmlm-checksub", { args: [dir] })).stderr).toContain("SENDER is not set");
  });
});
