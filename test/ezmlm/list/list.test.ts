import { spawnSync } from "node:child_process";
import { mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it, onTestFinished } from "vitest";
import { type List, openList } from "../../../src/ezmlm/list/list.ts";
import {
  readArchiveNumber,
  readDigestIssue,
  readDigestState,
  readDigestTest,
  readNumber,
  sizeUnits,
  writeNumber,
} from "../../../src/ezmlm/list/number.ts";
import { renderText } from "../../../src/ezmlm/reply/texts.ts";
import { openDatabase } from "../../../src/lib/sqlite.ts";
import {
  makeHost,
  makeList,
  root,
  type TestList,
  temporaryDirectory,
} from "../../support/ezmlm.ts";

async function open(
  test: TestList,
  env: Record<string, string> = {},
  name = test.dir,
): Promise<List> {
  const list = await openList(makeHost({ cwd: test.home, env }).host, name);
  onTestFinished(() => list.close());
  return list;
}

describe("openList()", () => {
  it("knows address, key and charset; DIR may be relative", async () => {
    const test = await makeList();
    const list = await open(test, {}, "joe-list");
    expect([list.dir, list.dirArgument, list.address]).toEqual([
      test.dir,
      "joe-list",
      "joe-list@lists.example.org",
    ]);
    expect(list.charset).toEqual({ name: "utf-8", encoding: "" });
    test.write("charset", "iso-8859-15:q\n");
    test.write("listid", "# mine\n\n <joe.lists.example.org>  \n");
    const again = await open(test);
    expect(again.charset).toEqual({ name: "iso-8859-15", encoding: "Q" });
    expect(again.listId).toBe("<joe.lists.example.org>");
  });

  it.each(["key", "outlocal", "outhost"])(
    "refuses a directory without %s for good",
    async (name) => {
      const test = await makeList();
      test.write(name === "key" ? "key2" : name, "");
      const dir = name === "key" ? test.home : test.dir;
      await expect(open(test, {}, dir)).rejects.toMatchObject({ exitCode: 100 });
    },
  );
});

it("refuses an empty key: anybody could make its cookies", async () => {
  const test = await makeList();
  test.write("key", "");
  await expect(open(test)).rejects.toMatchObject({
    exitCode: 100,
    message: expect.stringContaining("/key is missing or empty"),
  });
});

describe("openList() with trouble that goes away", () => {
  it("says which directory there is not", async () => {
    const test = await makeList();
    const missing = join(test.home, "nosuch");
    await expect(open(test, {}, missing)).rejects.toMatchObject({
      exitCode: 111,
      message: `Unable to switch to ${missing}: there is no such directory. (#4.3.5)`,
    });
  });

  it("keeps mail waiting for a database of newer code, and leaves it alone", async () => {
    const test = await makeList();
    const path = join(test.dir, "list.db");
    rmSync(path, { force: true });
    const newer = openDatabase(path, []);
    newer.pragma("user_version = 99");
    newer.close();
    const before = readFileSync(path);
    const { store } = await open(test);
    expect(() => store.open()).toThrow(
      expect.objectContaining({ exitCode: 111, message: expect.stringContaining("newer version") }),
    );
    expect(readFileSync(path)).toEqual(before);
  });
});

describe("List values", () => {
  it("come from DIR, then LANGDIR, then the site, then ours", async () => {
    const test = await makeList();
    const site = temporaryDirectory();
    const lang = temporaryDirectory();
    mkdirSync(join(site, "default"));
    writeFileSync(join(site, "default", "msgsize"), "1:1\n");
    expect((await open(test)).line("msgsize")).toBeUndefined();
    expect((await open(test, { EZMLM_ETC: site })).line("msgsize")).toBe("1:1");
    writeFileSync(join(lang, "msgsize"), "2:2\n");
    test.write("ezmlmrc", `${lang}\n`);
    expect((await open(test, { EZMLM_ETC: site })).line("msgsize")).toBe("2:2");
    test.write("ezmlmrc", `${lang}/ezmlmrc\n`);
    expect((await open(test)).line("msgsize")).toBe("2:2");
    test.write("msgsize", "# mine\n3:3 \t\n");
    expect((await open(test)).line("msgsize")).toBe("3:3");
    expect((await open(test)).has("nowarn")).toBe(false);
  });

  it("and texts come from one language directory, however ezmlmrc names it", async () => {
    const test = await makeList();
    test.write("de/msgsize", "2:2\n");
    test.write("de/text/sub-ok", "Hallo\n");
    for (const line of ["de", "# ours\n\nde", "de/recipe", `${test.dir}/de`]) {
      test.write("ezmlmrc", `${line}\n`);
      const list = await open(test);
      expect(list.line("msgsize"), line).toBe("2:2");
      expect(renderText({ env: {}, root }, list, "sub-ok", {}), line).toBe("Hallo\n");
    }
  });

  it("fill safe tags and refuse those a stranger could fill", async () => {
    const test = await makeList();
    test.write("prefix", "[<#L#>-<#n#>] <#l#>@<#h#> <#d#><#Z#>\n");
    const list = await open(test, {}, "joe-list");
    expect(list.line("prefix", { db: "digest", number: 7 })).toBe(
      "[joe-list-7] joe-list-digest@lists.example.org joe-list",
    );
    test.write("prefix", "<#A#>\n");
    expect(() => list.line("prefix")).toThrow("not allowed");
  });

  it("keep bytes that are not UTF-8", async () => {
    const test = await makeList();
    writeFileSync(join(test.dir, "prefix"), Buffer.from("[Gr\xfc\xdfe]\n", "latin1"));
    expect((await open(test)).line("prefix")).toBe("[Gr\xfc\xdfe]");
  });

  it("obey the flags of long ago before the files", async () => {
    const test = await makeList(["-m"]);
    test.write("config", "F:-MpRu\n");
    expect(
      ["modpost", "public", "remote", "subpostonly", "archived"].map((flag) => test.has(flag)),
    ).toEqual([true, true, false, false, true]);
    const list = await open(test);
    expect(
      ["modpost", "public", "remote", "subpostonly", "archived"].map((flag) => list.has(flag)),
    ).toEqual([false, true, false, true, true]);
    test.write("flags", "-mP\n");
    expect(["modpost", "public"].map((flag) => list.has(flag))).toEqual([false, true]);
    const again = await open(test);
    expect(["modpost", "public"].map((flag) => again.has(flag))).toEqual([true, false]);
  });
});

describe("List.withLock()", () => {
  it("is no deadlock within itself, and keeps other programs out", async () => {
    const test = await makeList(["-6", "std"]);
    const list = await open(test);
    const free = (): boolean => spawnSync("flock", ["-n", list.path("lock"), "true"]).status === 0;
    await list.withLock("lock", async () => {
      await list.db().add("inner@x.example");
      expect(test.read("Log")).toMatch(/inner@x.example\n$/);
      expect(free()).toBe(false);
    });
    expect(free()).toBe(true);
  });

  it("lets two programs of one process follow each other", async () => {
    const test = await makeList();
    const [a, b] = [await open(test), await open(test)];
    let inside = 0;
    const work = async (): Promise<void> => {
      expect(++inside).toBe(1);
      await new Promise((resolve) => setImmediate(resolve));
      inside--;
    };
    await Promise.all([
      a.withLock("lock", work),
      b.withLock("lock", work),
      a.withLock("lock", work),
    ]);
  });
});

describe("counters", () => {
  it("read the files of the originals and write them back", async () => {
    const list = await open(await makeList());
    expect(readNumber(list)).toEqual({ number: 0, cumulative: 0 });
    writeNumber(list, { number: 12, cumulative: 345 });
    expect(readFileSync(list.path("num"), "latin1")).toBe("12:345\n");
    writeFileSync(list.path("dignum"), "4:7:1700000000\n");
    expect(readDigestState(list)).toEqual({ number: 4, cumulative: 7, when: 1700000000 });
    writeFileSync(list.path("num"), "9\n");
    expect(readNumber(list)).toEqual({ number: 9, cumulative: 0 });
    writeFileSync(list.path("num"), " 9 : 12:0 # reset\n");
    expect(readNumber(list)).toEqual({ number: 9, cumulative: 12 });
    for (const name of ["dignum", "digissue", "tstdig", "archnum"]) {
      writeFileSync(list.path(name), " 4:7:1700000000:1 # by hand\n");
    }
    expect(readDigestState(list)).toEqual({ number: 4, cumulative: 7, when: 1700000000 });
    expect([readDigestIssue(list), readDigestTest(list), readArchiveNumber(list)]).toEqual([
      4, 4, 4,
    ]);
    writeFileSync(list.path("archnum"), "none\n");
    expect(() => readArchiveNumber(list)).toThrow(/archnum is damaged: it says "none"/);
    expect([0, 24, 127, 128, 384].map(sizeUnits)).toEqual([0, 0, 0, 1, 2]);
  });
});

describe("posts by delivery key", () => {
  it("are the same after reopening, and forgotten by age", async () => {
    const test = await makeList();
    const list = await open(test);
    list.store.reservePost("17.0", { number: 5, cumulative: 9 }, 1000);
    const again = await open(test);
    expect(again.store.reservedPost("17.0")).toEqual({ number: 5, cumulative: 9 });
    expect(again.store.reservedPost("17.1")).toBeUndefined();
    again.store.forgetPosts(1001);
    expect(list.store.reservedPost("17.0")).toBeUndefined();
  });
});
