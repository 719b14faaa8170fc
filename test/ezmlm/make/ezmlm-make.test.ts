import { createHash } from "node:crypto";
import {
  chownSync,
  existsSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import {
  makeHost,
  makeList,
  root,
  runCommand,
  runInProcess,
  type TestList,
  temporaryDirectory,
  ways,
} from "../../support/ezmlm.ts";

/** Every name below a directory with its content, to see that nothing changed. */
function fingerprint(dir: string): string {
  const hash = createHash("sha256");
  for (const name of readdirSync(dir, { recursive: true, encoding: "utf8" }).sort()) {
    const path = join(dir, name);
    const status = lstatSync(path);
    hash.update(`${name} ${status.mode} `);
    if (status.isSymbolicLink()) hash.update(readlinkSync(path));
    else if (status.isFile()) hash.update(readFileSync(path));
  }
  return hash.digest("hex");
}

const flags =
  "archived indexed modgetonly digested prefix subgetonly nosubconfirm threaded nounsubconfirm modcanlist modpost modcanedit modpostonly public remote modsub addtrailer subpostonly noreturnposts nowarn mimeremove confirmpost".split(
    " ",
  );
const flagsOf = (list: TestList): string[] => flags.filter((flag) => list.has(flag));

describe("ezmlm-make", () => {
  it("makes the tree of the originals, ours to keep", async () => {
    const list = await makeList();
    // SQLite's side files last as long as this process keeps the database open.
    const names = readdirSync(list.dir, { recursive: true, encoding: "utf8" })
      .filter((name) => !/^list\.db-(shm|wal)$/.test(name))
      .sort();
    expect(names).toEqual(
      (
        "allow archive archived bounce bouncer confirmer deny digest digest/bounce digest/bouncer digest/lock digest/lockbounce " +
        "digestcode dignum dot editor ezmlmrc headeradd headerremove indexed key list.db lock lockbounce manager mod mod/accepted mod/pending " +
        "mod/rejected mod/unconfirmed moderator outhost outlocal owner public text"
      ).split(" "),
    );
    expect(list.read("outlocal") + list.read("outhost") + list.read("owner")).toBe(
      `joe-list\nlists.example.org\n${list.dir}/Mailbox\n`,
    );
    for (const name of names) expect(statSync(join(list.dir, name)).mode & 0o077, name).toBe(0);
  });

  it("links every address of the list", async () => {
    const { home, dir } = await makeList();
    const links = readdirSync(home).filter((name) => name.startsWith(".qmail"));
    const targets = Object.fromEntries(
      links.map((name) => [
        name.replace(".qmail-joe-list", ""),
        readlinkSync(join(home, name)).replace(`${dir}/`, ""),
      ]),
    );
    expect(targets).toEqual({
      "": "editor",
      "-owner": "owner",
      "-digest-owner": "owner",
      "-return-default": "bouncer",
      "-digest-return-default": "digest/bouncer",
      "-accept-default": "moderator",
      "-reject-default": "moderator",
      "-confirm-default": "confirmer",
      "-discard-default": "confirmer",
      "-default": "manager",
    });
  });

  it("writes delivery lines with the commands of this checkout and DIR in quotes", async () => {
    const list = await makeList();
    const q = `'${list.dir}'`;
    const bin = join(root, "bin");
    expect(list.read("manager")).toBe(
      `|${bin}/ezmlm-weed\n|${bin}/ezmlm-get ${q}\n|${bin}/ezmlm-split ${q}\n|${bin}/ezmlm-request ${q}\n` +
        `|${bin}/ezmlm-manage ${q}\n|${bin}/ezmlm-clean ${q} || exit 0\n|${bin}/ezmlm-warn ${q} || exit 0\n`,
    );
    expect(list.read("bouncer")).toBe(`|${bin}/ezmlm-weed\n|${bin}/ezmlm-return -D ${q}\n`);
    expect(list.read("digest/bouncer")).toBe(`|${bin}/ezmlm-weed\n|${bin}/ezmlm-return -d ${q}\n`);
  });

  it.each([
    ["none", [], ["reject", "checksub -n deny", "store"]],
    ["sublist", ["sublist"], ["store"]],
    [
      "subpostonly",
      ["subpostonly"],
      ["reject", "checksub -n deny", "checksub . digest allow mod", "store"],
    ],
    [
      "subpostonly modpost",
      ["subpostonly", "modpost"],
      ["reject", "checksub -n deny", "gate . digest allow mod"],
    ],
    [
      "subpostonly modpost confirmpost",
      ["subpostonly", "modpost", "confirmpost"],
      ["reject", "checksub -n deny", "store"],
    ],
    ["threaded", ["threaded"], ["reject", "checksub -n deny", "store", "archive"]],
    ["digested", ["digested"], ["reject", "checksub -n deny", "store", "tstdig", "get"]],
  ])(
    "lets a real shell run the right commands for a post with switches: %s",
    async (_name, on, expected) => {
      const bin = temporaryDirectory();
      const log = join(bin, "log");
      for (const name of "reject checksub store gate clean archive warn tstdig get".split(" ")) {
        writeFileSync(join(bin, `ezmlm-${name}`), `#!/bin/sh\necho "${name} $*" >>'${log}'\n`, {
          mode: 0o755,
        });
      }
      const home = temporaryDirectory();
      const dir = join(home, "l");
      const args = [dir, join(home, ".qmail-l"), "l", "h.example"];
      expect(await runInProcess("ezmlm-make", { args, env: { EZMLM_BIN: bin } })).toMatchObject({
        code: 0,
      });
      for (const flag of on) writeFileSync(join(dir, flag), "");
      for (const line of readFileSync(join(dir, "editor"), "utf8").trim().split("\n")) {
        const { host } = makeHost({ cwd: home });
        expect((await host.commands.shell(line.slice(1))).code, line).toBe(0);
      }
      const ran = readFileSync(log, "utf8")
        .trim()
        .split("\n")
        .map((line) => line.replace(`${dir}`, "").replace(/ +/g, " ").trim());
      expect(ran.filter((line) => !/^(clean|warn)/.test(line))).toEqual(expected);
    },
  );

  it("writes the stock header files, with and without a parent list", async () => {
    const list = await makeList();
    expect(list.read("headeradd")).toBe(
      "Sender: <<#l#>@<#h#>>\nPrecedence: bulk\nX-No-Archive: yes\nList-Post: <mailto:joe-list@lists.example.org>\n" +
        "List-Help: <mailto:<#l#>-help@<#h#>>\nList-Unsubscribe: <mailto:<#l#>-unsubscribe@<#h#>>\nList-Subscribe: <mailto:<#l#>-subscribe@<#h#>>\n",
    );
    const sub = await makeList(["-A", "-0", "main@lists.example.org", "-3", "desk@x.example"], {
      local: "s",
      host: "h.example",
    });
    expect(sub.read("sublist")).toBe("main@lists.example.org\n");
    expect(sub.read("headeradd")).toBe(
      "List-Help: <mailto:<#l#>-help@<#h#>>\nList-Unsubscribe: <mailto:<#l#>-unsubscribe@<#h#>>\nList-Subscribe: <mailto:<#l#>-subscribe@<#h#>>\nFrom: desk@x.example\n",
    );
    expect(sub.read("headerremove").split("\n")).toEqual(expect.arrayContaining(["from"]));
    expect(sub.read("headerremove")).not.toContain("sender");
    expect(sub.has("archived")).toBe(false);
  });

  it("turns each switch into its file", async () => {
    expect(flagsOf(await makeList())).toEqual(["archived", "indexed", "public"]);
    const everything = await makeList([
      "-abdfghijlmnoprstuwxy",
      "-7",
      "posts",
      "-8",
      "subs",
      "-9",
      "remotes",
    ]);
    expect(flagsOf(everything)).toEqual(flags);
    expect(everything.read("modpost") + everything.read("modsub") + everything.read("remote")).toBe(
      "posts\nsubs\nremotes\n",
    );
    expect(everything.read("prefix")).toBe("[joe-list]\n");
    expect(everything.read("msgsize")).toBe("30000:2\n");
    expect(everything.read("mimeremove")).toMatch(/^text\/html$/m);
    expect(flagsOf(await makeList(["-AP"]))).toEqual([]);
  });

  it("keeps what is not named with -+", async () => {
    const list = await makeList(["-durm", "-5", "owner@x.example"]);
    const key = list.read("key");
    const ran = await list.run("ezmlm-make", { args: ["-+", "-yD", "{DIR}"] });
    expect(ran).toMatchObject({ code: 0, stderr: "" });
    expect(flagsOf(list).sort()).toEqual([
      "archived",
      "confirmpost",
      "indexed",
      "modpost",
      "noreturnposts",
      "public",
      "remote",
      "subpostonly",
    ]);
    expect(list.read("owner")).toBe("owner@x.example\n");
    expect(list.read("key")).toBe(key);
  });

  it("goes back to defaults with -e, but keeps owner, dot and address", async () => {
    const list = await makeList(["-mry", "-5", "owner@x.example"]);
    expect((await list.run("ezmlm-make", { args: ["-e", "-s", "{DIR}"] })).code).toBe(0);
    expect(flagsOf(list)).toEqual(["archived", "indexed", "public", "modsub"]);
    expect([list.read("owner"), list.read("dot"), list.read("outlocal")]).toEqual([
      "owner@x.example\n",
      `${list.dot}\n`,
      "joe-list\n",
    ]);
  });

  it("overwrites what owners edit only with -ee, -++ or a new address", async () => {
    const list = await makeList();
    list.write("headeradd", "X-Mine: yes\n");
    await list.run("ezmlm-make", { args: ["-+", "{DIR}"] });
    expect(list.read("headeradd")).toBe("X-Mine: yes\n");
    await list.run("ezmlm-make", { args: ["-++", "{DIR}"] });
    expect(list.read("headeradd")).toContain("Precedence: bulk");
    list.write("headeradd", "X-Mine: yes\n");
    await list.run("ezmlm-make", { args: ["-+", "{DIR}", list.dot, "joe-list", "new.example"] });
    expect(list.read("headeradd")).toContain("joe-list@new.example");
    expect(list.read("outhost")).toBe("new.example\n");
  });

  it("reads the flags of a list of long ago and turns them into files", async () => {
    const list = await makeList();
    list.write(
      "config",
      `F:-aBCDeFGHIJKLmnOPQRSTUVWXYZ\nT:${list.dot}\nL:joe-list\nH:lists.example.org\n5:boss@x.example\n`,
    );
    await list.run("ezmlm-make", { args: ["-+", "{DIR}"] });
    expect(flagsOf(list)).toEqual(["archived", "indexed", "modpost", "modcanedit"]);
    expect(list.has("config")).toBe(false);
    expect(list.read("owner")).toBe("boss@x.example\n");
  });

  it("keeps people and archive when a list is changed", async () => {
    const list = await makeList();
    await list.run("ezmlm-sub", { args: ["{DIR}", "a@x.example"] });
    list.write("archive/0/01", "post");
    await list.run("ezmlm-make", { args: ["-ee", "{DIR}"] });
    expect((await list.run("ezmlm-list")).stdout).toBe("a@x.example\n");
    expect(list.read("archive/0/01")).toBe("post");
  });
});

describe.each(ways)("ezmlm-make (%s)", (_way, run) => {
  it("takes DIR and DOT relative to the directory it is called in", async () => {
    const home = temporaryDirectory();
    const ran = await run("ezmlm-make", {
      cwd: home,
      args: ["news", ".qmail-news", "news", "x.example"],
    });
    expect(ran).toMatchObject({ code: 0, stdout: "", stderr: "" });
    expect(readlinkSync(join(home, ".qmail-news"))).toBe(join(home, "news/editor"));
    expect(readFileSync(join(home, "news/dot"), "utf8")).toBe(`${home}/.qmail-news\n`);
  });

  it("says one line and changes nothing when the list or an address exists", async () => {
    const { home, dir, dot } = await makeList();
    const before = fingerprint(home);
    const again = await run("ezmlm-make", { args: [dir, dot, "joe-list", "lists.example.org"] });
    expect(again.code).toBe(100);
    expect(again.stderr).toMatch(
      /^ezmlm-make: fatal: Unable to create [^\n]+: it exists already\. Use -\+ [^\n]+\n$/,
    );
    expect(
      (await run("ezmlm-make", { args: [join(home, "two"), dot, "two", "x.example"] })).code,
    ).toBe(100);
    expect(fingerprint(home)).toBe(before);
  });

  it.each([
    ["no DOT", ["{HOME}/l"], /^ezmlm-make: usage:/],
    [
      "an address as LOCAL",
      ["{HOME}/l", "{HOME}/.qmail-l", "l@h.example", "h.example"],
      /LOCAL must be the part/,
    ],
    [
      "a quote in DIR",
      ["{HOME}/it's", "{HOME}/.qmail-l", "l", "h.example"],
      /DIR must not contain/,
    ],
    [
      "a line feed in an argument",
      ["-5", "a@x\n|rm", "{HOME}/l", "{HOME}/.qmail-l", "l", "h"],
      /argument of -5/,
    ],
    [
      "a home that is not there",
      ["{HOME}/no/l", "{HOME}/.qmail-l", "l", "h"],
      /There is no directory/,
    ],
    [
      "a DOT whose directory is not there",
      ["{HOME}/l", "{HOME}/no/.qmail-l", "l", "h"],
      /There is no directory/,
    ],
    ["a list to change that is none", ["-+", "{HOME}/l"], /is no list/],
    [
      "a template that is not there",
      ["-C", "{HOME}/none", "{HOME}/l", "{HOME}/.qmail-l", "l", "h"],
      /Unable to read .*none/,
    ],
  ])("refuses %s and leaves nothing behind", async (_what, args, text) => {
    const home = temporaryDirectory();
    const ran = await run("ezmlm-make", { args: args.map((word) => word.replace("{HOME}", home)) });
    expect(ran.code).toBe(100);
    expect(ran.stderr).toMatch(text);
    expect(ran.stderr.trimEnd().split("\n")).toHaveLength(1);
    expect(readdirSync(home)).toEqual([]);
  });
});

describe("ezmlm-make as root", () => {
  it.runIf(process.getuid?.() === 0)(
    "gives the list to the owner of the directory of DOT, and so do later commands",
    async () => {
      const home = temporaryDirectory();
      chownSync(home, 12345, 12345);
      const dir = join(home, "l");
      expect(
        await runCommand("ezmlm-make", { args: [dir, join(home, ".qmail-l"), "l", "h.example"] }),
      ).toMatchObject({ code: 0, stderr: "" });
      expect(await runCommand("ezmlm-sub", { args: [dir, "a@x.example"] })).toMatchObject({
        code: 0,
        stderr: "",
      });
      for (const name of readdirSync(home, { recursive: true, encoding: "utf8" })) {
        expect(lstatSync(join(home, name)).uid, name).toBe(12345);
      }
    },
  );

  it.runIf(process.getuid?.() === 0)("never leaves a list to root", async () => {
    const home = temporaryDirectory();
    const dir = join(home, "l");
    await runCommand("ezmlm-make", { args: [dir, join(home, ".qmail-l"), "l", "h.example"] });
    expect(statSync(dir).uid).not.toBe(0);
    expect(statSync(join(dir, "list.db")).uid).toBe(statSync(dir).uid);
  });
});

describe("the recipe language", () => {
  async function make(
    template: string,
    switches: string[] = [],
  ): Promise<{ home: string; dir: string; code: number; stderr: string }> {
    const home = temporaryDirectory();
    writeFileSync(join(home, ".ezmlmrc"), template);
    const dir = join(home, "l");
    const args = ["-c", ...switches, dir, join(home, ".qmail-l-x-y"), "l", "h.example", "abc"];
    const ran = await runInProcess("ezmlm-make", { args });
    return { home, dir, ...ran };
  }
  const base = "7.2\n</outlocal/>\n<#L#>\n</outhost/>\n<#H#>\n";

  it("fills tags, leaves the unknown and skips comments and what stands before the first tag", async () => {
    const { dir, code, stderr } = await make(
      `7.2\nignored\n</outlocal/>\n<#L#>\n</outhost/>\n<#H#>\n</t/>\n<#1#>.<#2#>.<#C#>.<#T#>.<#5#>.<#l#>.<#A#>\n# comment\nx\0y\n`,
      ["-5", "o@x"],
    );
    expect([code, stderr]).toEqual([0, ""]);
    expect(readFileSync(join(dir, "t"), "utf8")).toBe(
      `l.x.abc.${join(dir, "..")}/.qmail-l-x-y.o@x.<#l#>.<#A#>\nx\n`,
    );
  });

  it("knows conditions: on, off, argument, negation, continuing and re-opening a file", async () => {
    const { dir } = await make(
      `${base}</f#a/>\na\n</#d/>\nd\n</f#A/>\nA\n</f#^d5/>\nno5\n</f#^dt/>\nnot d, t\n</g#^a/>\nnever\n</h/>\nh\n</f#/>\nagain\n`,
      ["-t"],
    );
    expect(readFileSync(join(dir, "f"), "utf8")).toBe("again\n");
    expect(existsSync(join(dir, "g"))).toBe(false);
    expect(readFileSync(join(dir, "h"), "utf8")).toBe("h\n");
  });

  it.each([
    ["a dot in a tag", "</../../etc/x/>", "line 6: a tag may not contain a dot"],
    ["a tag without end", "</x", "line 6: a tag must end"],
    ["a link without target", "</:-x/>", "line 6: a link needs"],
  ])("refuses %s, naming the line", async (_what, tag, text) => {
    const { home, code, stderr } = await make(`${base}${tag}\n`);
    expect(code).toBe(100);
    expect(stderr).toContain(text);
    expect(readdirSync(home)).toEqual([".ezmlmrc"]);
  });

  it("warns about a template of another version, and uses it", async () => {
    const { code, stderr, dir } = await make(base.replace("7.2", "0.324"));
    expect(code).toBe(0);
    expect(stderr).toMatch(/^ezmlm-make: warning: .*another version\n$/);
    expect(existsSync(join(dir, "key"))).toBe(true);
  });

  it.each([
    ["capital letters", "UpCase", "upcase"],
    ["a dot", "up.case", "up:case"],
  ])(
    "warns that no mail comes to a DOT with %s, and names one it comes to",
    async (_what, local, name) => {
      const home = temporaryDirectory();
      const dot = join(home, `.qmail-${local}`);
      const run = (address: string) =>
        runInProcess("ezmlm-make", { args: [join(home, name), address, local, "list.test"] });
      const ran = await run(dot);
      expect(ran.code).toBe(0);
      expect(ran.stderr).toContain(`ezmlm-make: warning: no mail comes to ${dot}, `);
      expect(ran.stderr).toContain(`make DOT .qmail-${name}, LOCAL may stay as it is\n`);
      rmSync(home, { recursive: true });
      mkdirSync(home);
      expect(await run(join(home, `.qmail-${name}`))).toMatchObject({ code: 0, stderr: "" });
    },
  );

  it("undoes everything when a link cannot be made", async () => {
    const home = temporaryDirectory();
    mkdirSync(join(home, "d"));
    symlinkSync("/nonexistent", join(home, "d", ".qmail-l-owner"));
    const ran = await runInProcess("ezmlm-make", {
      args: [join(home, "l"), join(home, "d", ".qmail-l"), "l", "h.example"],
    });
    expect(ran.code).toBe(100);
    expect(readdirSync(home)).toEqual(["d"]);
    expect(readdirSync(join(home, "d"))).toEqual([".qmail-l-owner"]);
  });
});
