/** What every store of subscribers promises, shown on both. */
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import fc from "fast-check";
import { afterEach, describe, expect, it } from "vitest";
import { type List, openList } from "../../../src/ezmlm/list/list.ts";
import { hashSlot } from "../../../src/ezmlm/subscribers/hash.ts";
import { type Packing, placeOf } from "../../../src/ezmlm/subscribers/subdb.ts";
import { asciiLower } from "../../../src/lib/address.ts";
import { makeHost, makeList, runCommand, type TestList } from "../../support/ezmlm.ts";

const open: List[] = [];
afterEach(() => {
  for (const list of open.splice(0)) list.close();
});

async function listOf(test: TestList): Promise<List> {
  const list = await openList(makeHost({ cwd: test.home, now: new Date(1.7e12) }).host, test.dir);
  open.push(list);
  return list;
}

async function all(list: List, name = ""): Promise<string[]> {
  const addresses: string[] = [];
  for await (const batch of list.db(name).each()) addresses.push(...batch);
  return addresses;
}

async function packed(list: List, packing?: Packing): Promise<string[]> {
  const parts: Buffer[] = [];
  for await (const part of list.db().packed(packing)) {
    expect(part.at(-1)).toBe(0);
    parts.push(part);
  }
  return Buffer.concat(parts).toString("utf8").split("\0").slice(0, -1);
}

const fileOf = (address: string, width: 32 | 64 = 64): string =>
  `subscribers/${String.fromCharCode(64 + hashSlot(Buffer.from(`T${address}`), width))}`;

describe.each([
  ["sqlite", []],
  ["std", ["-6", "std"]],
])("SubscriberDb of %s", (store, switches) => {
  it("lives where it says", async () => {
    const test = await makeList(switches);
    await test.run("ezmlm-sub", { args: ["{DIR}", "a@b.example"] });
    expect(test.has("list.db")).toBe(store === "sqlite");
    expect(test.has(fileOf("a@b.example"))).toBe(store === "std");
  });

  it("compares without case, stores the domain in lower case and the local part as given", async () => {
    const list = await listOf(await makeList(switches));
    expect(await list.db().add("Joe.User@Example.COM")).toBe(true);
    expect(await list.db().add("joe.USER@example.com")).toBe(false);
    expect(await list.db().has("JOE.user@EXAMPLE.com")).toBe("Joe.User@example.com");
    expect(await all(list)).toEqual(["Joe.User@example.com"]);
    expect(await list.db().remove("jOE.uSER@example.com")).toBe(true);
    expect(await list.db().remove("joe.user@example.com")).toBe(false);
    expect(await list.db().count()).toBe(0);
  });

  it("takes only ASCII letters for equal", async () => {
    const list = await listOf(await makeList(switches));
    await list.db().add("jörg@example.com");
    expect(await list.db().has("JÖRG@example.com")).toBeUndefined();
    expect(await list.db().has("jöRG@example.com")).toBe("jörg@example.com");
    expect(await all(list)).toEqual(["jörg@example.com"]);
  });

  it("treats % and _ in an address as themselves", async () => {
    const list = await listOf(await makeList(switches));
    await list.db().add("a_b%@example.com");
    expect(await list.db().has("axb%@example.com")).toBeUndefined();
    expect(await list.db().has("%@example.com")).toBeUndefined();
    expect(await list.db().remove("%")).toBe(false);
  });

  it("finds everybody of a domain by @domain, and removes just that entry", async () => {
    const list = await listOf(await makeList(switches));
    await list.db("deny").add("@Spam.example");
    expect(await list.db("deny").has("anybody@spam.EXAMPLE")).toBe("@spam.example");
    expect(await list.db("deny").remove("anybody@spam.example")).toBe(false);
    expect(await list.db("deny").has("anybody@sub.spam.example")).toBeUndefined();
  });

  it("writes a Log line for each change that took effect, harmless ones only", async () => {
    const test = await makeList(switches);
    const list = await listOf(test);
    await list.db().add("a@b.example", { event: "mod", comment: "A\tB \u0000é <a@b>" });
    await list.db().add("a@b.example", { event: "mod" });
    await list.db().add("jörg @x.example", { event: "manual" });
    await list.db().remove("a@b.example");
    expect(test.read("Log")).toBe(
      "1700000000 +mod a@b.example A B ??? <a@b>\n" +
        "1700000000 +manual j??rg?@x.example\n" +
        "1700000000 - a@b.example\n",
    );
  });

  it.each([
    ["without @", "joe", "does not contain"],
    ["without domain", "joe@", "does not contain"],
    ["with a line feed", "joe\n@example.com", "line break"],
    ["with NUL", "joe\0@example.com", "NUL"],
    ["of 401 bytes", `${"x".repeat(389)}@example.com`, "too long"],
  ])("refuses an address %s", async (_what, address, why) => {
    const test = await makeList(switches);
    const list = await listOf(test);
    await expect(async () => list.db().add(address)).rejects.toThrow(why);
    expect(await list.db().count()).toBe(0);
    expect(test.has("Log")).toBe(false);
  });

  it("keeps databases apart", async () => {
    const list = await listOf(await makeList(switches));
    await list.db("digest").add("a@b.example");
    expect(await list.db().has("a@b.example")).toBeUndefined();
    expect(await list.db("./digest/").has("a@b.example")).toBe("a@b.example");
    expect(await list.db(join(list.dir, "digest")).count()).toBe(1);
    expect(() => list.db("../other")).toThrow("outside");
    expect(() => list.db("/etc")).toThrow("outside");
  });

  it("agrees with a set of lower-cased addresses, whatever is added and removed", async () => {
    const test = await makeList(switches);
    const list = await listOf(test);
    const local = fc.stringMatching(/^[a-cA-C]{1,2}$/);
    const change = fc.record({
      add: fc.boolean(),
      address: local.map((part) => `${part}@X.example`),
    });
    await fc.assert(
      fc.asyncProperty(fc.array(change, { maxLength: 12 }), async (changes) => {
        await list.db().clear();
        const model = new Set<string>();
        for (const { add, address } of changes) {
          const key = asciiLower(address);
          expect(await (add ? list.db().add(address) : list.db().remove(address))).toBe(
            model.has(key) !== add,
          );
          if (add) model.add(key);
          else model.delete(key);
        }
        expect((await all(list)).map(asciiLower).sort()).toEqual([...model].sort());
        expect(await list.db().count()).toBe(model.size);
      }),
      { numRuns: 25 },
    );
  });

  it("gives each slot range of a split list its share and nobody twice", async () => {
    const list = await listOf(await makeList(switches));
    const addresses = Array.from({ length: 200 }, (_, i) => `user${i}@example.com`);
    await list.db().addAll(addresses.map((address) => ({ address })));
    const halves: string[] = [];
    for (const [low, high] of [
      [0, 20],
      [21, 52],
    ] as const) {
      for await (const batch of list.db().each({ low, high })) halves.push(...batch);
    }
    expect(halves.sort()).toEqual(addresses.sort());
  });

  it("adds many at once: who is new, once, each with a line in the Log", async () => {
    const test = await makeList(switches);
    const list = await listOf(test);
    await list.db().addAll([{ address: "user7@example.com" }, { address: "USER1500@example.com" }]);
    const before = test.read("Log");
    const many = Array.from({ length: 3000 }, (_, i) => `user${i}@example.com`);
    const entries = [...many, "User20@example.com", ...many.slice(0, 5)];
    expect(await list.db().addAll(entries.map((address) => ({ address })))).toBe(2998);
    expect(await list.db().count()).toBe(3000);
    expect(await list.db().has("user1500@example.com")).toBe("USER1500@example.com");
    const logged = test.read("Log").slice(before.length).split("\n").slice(0, -1);
    const added = logged.map((line) => line.split(" ")[2]);
    expect(new Set(added).size).toBe(2998);
    expect(added).toHaveLength(2998);
    expect(await list.db().removeAll(entries.map((address) => ({ address })))).toBe(3000);
    expect(await list.db().count()).toBe(0);
  });

  it("hands everybody who takes mail to the queue, once, `@domain` left out", async () => {
    const list = await listOf(await makeList(switches));
    const mailable = Array.from({ length: 4321 }, (_, i) => `Usér${i}@example${i % 7}.com`);
    const entries = [...mailable, "@whole.example", "@2.example"];
    await list.db().addAll(entries.map((address) => ({ address })));
    expect((await packed(list)).sort()).toEqual([...mailable].sort());
    const shares = [
      await packed(list, { range: { low: 0, high: 20 } }),
      await packed(list, { range: { low: 21, high: 52 } }),
    ];
    expect(shares.every((share) => share.length > 1000)).toBe(true);
    expect(shares.flat().sort()).toEqual([...mailable].sort());
    await list.db().clear();
    expect(await packed(list)).toEqual([]);
  });

  it("leaves out nobody whose address sorts beside those of `@domain`", async () => {
    const list = await listOf(await makeList(switches));
    const leads = [
      "!",
      "0",
      "?",
      "?\u{fc}",
      "A",
      "a",
      "Z",
      "z",
      "[",
      "\\",
      "]",
      "^",
      "_",
      "`",
      "{",
      "~",
    ];
    const mailable = [...leads, "\u{fc}", "\u{10ffff}"].map(
      (lead) => `${lead}@lead${lead.length}.example`,
    );
    // Lower case is another spelling of the same.
    const apart = mailable.map((address, n) => address.replace("@", `${n}@`));
    const domains = ["@a.example", "@z.example", "@0.example"];
    await list.db().addAll([...domains, ...apart].map((address) => ({ address })));
    const all = await packed(list);
    expect([...all].sort()).toEqual([...apart].sort());
    // And each of them parts the others in two, by its place in the alphabet whatever the order of the store.
    const places = [...apart].sort((a, b) => (placeOf(a) < placeOf(b) ? -1 : 1));
    if (list.db().isOrdered) expect(all).toEqual(places);
    for (const mark of all) {
      const at = places.indexOf(mark);
      const upper = mark.replace(/[a-z]/g, (letter) => letter.toUpperCase());
      expect((await packed(list, { upTo: mark })).sort()).toEqual(places.slice(0, at + 1).sort());
      expect((await packed(list, { after: upper })).sort()).toEqual(places.slice(at + 1).sort());
    }
    const range = { low: 0, high: 30 };
    const share = await packed(list, { range });
    const mark = share[5] as string;
    expect(
      [
        ...(await packed(list, { range, upTo: mark })),
        ...(await packed(list, { range, after: mark })),
      ].sort(),
    ).toEqual(share.sort());
  });

  it("loses nobody when four commands add at once", async () => {
    const test = await makeList(switches);
    const people = (who: number): string =>
      Array.from({ length: 50 }, (_, i) => `u${i}.${who}@example.com\n`).join("");
    const runs = await Promise.all(
      [1, 2, 3, 4].map((who) => runCommand("ezmlm-sub", { args: [test.dir], stdin: people(who) })),
    );
    expect(runs.map(({ code, stderr }) => `${code}${stderr}`)).toEqual(["0", "0", "0", "0"]);
    expect(await (await listOf(test)).db().count()).toBe(200);
    expect(
      test
        .read("Log")
        .split("\n")
        .filter((line) => / \+manual u/.test(line)),
    ).toHaveLength(200);
  });
});

describe("SubscriberDb of sqlite", () => {
  it("lets somebody subscribe while another process adds very many", async () => {
    const test = await makeList();
    const list = await listOf(test);
    const stdin = Array.from({ length: 120_000 }, (_, i) => `user${i}@example.com\n`).join("");
    const events: string[] = [];
    const importing = runCommand("ezmlm-sub", { args: [test.dir], stdin }).then(({ code }) => {
      expect(code).toBe(0);
      events.push("all are added");
    });
    while ((await list.db().count()) === 0) await new Promise((resolve) => setImmediate(resolve));
    await list.db().add("late@example.com");
    events.push("one is added");
    await importing;
    expect(events).toEqual(["one is added", "all are added"]);
    expect(await list.db().count()).toBe(120_001);
  });
});

describe("SubscriberDb of std, in files the originals wrote", () => {
  it("reads and keeps what stands there, byte for byte, and appends", async () => {
    const test = await makeList(["-6", "std"]);
    const file = fileOf("joe@example.com");
    expect(file).toBe("subscribers/f");
    test.write(file, "TJOE@example.com\0Tx\0Tother@example.net\0");
    const list = await listOf(test);
    expect(await list.db().has("joe@EXAMPLE.com")).toBe("JOE@example.com");
    expect(await list.db().add("joe@example.com")).toBe(false);
    await list.db().remove("joe@example.com");
    await list.db().add("joe@example.com");
    expect(test.read(file)).toBe("Tx\0Tother@example.net\0Tjoe@example.com\0");
    expect(existsSync(join(test.dir, `${file}n`))).toBe(false);
  });

  it("finds and removes entries under the 32-bit and the mixed-case hash", async () => {
    const test = await makeList(["-6", "std"]);
    test.write(fileOf("joe@example.com", 32), "Tjoe@example.com\0");
    test.write(fileOf("Ann@example.com"), "TAnn@example.com\0");
    const list = await listOf(test);
    expect(await list.db().add("joe@example.com")).toBe(false);
    expect(await list.db().has("Ann@example.com")).toBe("Ann@example.com");
    expect(await list.db().remove("joe@example.com")).toBe(true);
    expect(await list.db().remove("Ann@example.com")).toBe(true);
    expect(await list.db().count()).toBe(0);
  });

  it("sends nothing to damaged records and counts a last one whose NUL is missing", async () => {
    const test = await makeList(["-6", "std"]);
    test.write("subscribers/@", "Tgood@example.com\0bad@example.com\0T\0\0Thalf@exam");
    const list = await listOf(test);
    expect(await all(list)).toEqual(["good@example.com", "half@exam"]);
    expect(await packed(list)).toEqual(["good@example.com", "half@exam"]);
    // One record that is no UTF-8 must not keep the others from their mail.
    const latin = Buffer.from(
      "Tj\xf6rg@example.com\0Tgood@example.com\0Tz\ne@example.com\0",
      "latin1",
    );
    writeFileSync(join(test.dir, "subscribers/@"), latin);
    expect(await packed(list)).toEqual(await all(list));
    expect(await packed(list)).toHaveLength(2);
  });

  it("ignores a temp file that a crash left, and the next change replaces it", async () => {
    const test = await makeList(["-6", "std"]);
    test.write("subscribers/fn", "Tghost@example.com\0");
    const list = await listOf(test);
    expect(await list.db().count()).toBe(0);
    await list.db().add("joe@example.com");
    expect(await all(list)).toEqual(["joe@example.com"]);
  });

  it("lists in the order of files, then of records", async () => {
    const test = await makeList(["-6", "std"]);
    test.write("subscribers/t", "Tlast@example.com\0");
    test.write("subscribers/@", "Tb@example.com\0Ta@example.com\0");
    expect((await test.run("ezmlm-list")).stdout).toBe(
      "b@example.com\na@example.com\nlast@example.com\n",
    );
  });
});

describe("SubscriberDb of sqlite", () => {
  it("says so and changes nothing when the file is no database", async () => {
    const test = await makeList();
    for (const side of ["-wal", "-shm", ""]) {
      if (test.has(`list.db${side}`) || side === "")
        writeFileSync(join(test.dir, `list.db${side}`), "garbage ".repeat(1000));
    }
    const ran = await test.run("ezmlm-sub", { args: ["{DIR}", "a@b.example"] });
    expect(ran.code).toBe(111);
    expect(ran.stderr).toMatch(/^ezmlm-sub: fatal: .*list\.db.*\n$/);
    expect(readFileSync(join(test.dir, "list.db"), "latin1")).toBe("garbage ".repeat(1000));
    expect(test.has("Log")).toBe(false);
  });

  it("refuses to be opened by another uid than the owner of the list", async () => {
    const test = await makeList();
    const ran = await test.run("ezmlm-list", { host: { uid: 4242 } });
    expect(ran).toMatchObject({ code: 111 });
    expect(ran.stderr).toContain("only that uid may open its database");
  });

  it("makes no new database out of a typing error", async () => {
    const test = await makeList();
    const ran = await test.run("ezmlm-sub", { args: ["{DIR}", "alow", "a@b.example"] });
    expect(ran).toMatchObject({ code: 100 });
    test.write("press/x");
    expect((await test.run("ezmlm-sub", { args: ["{DIR}", "press", "a@b.example"] })).code).toBe(0);
    expect((await test.run("ezmlm-list", { args: ["{DIR}", "press"] })).stdout).toBe(
      "a@b.example\n",
    );
  });
});

describe("a store nobody has", () => {
  it("defers mail instead of bouncing it", async () => {
    const test = await makeList();
    test.write("subdb", "mysql:db.example::u:p:ezmlm:joe\n");
    const ran = await test.run("ezmlm-checksub", { env: { SENDER: "a@b.example" } });
    expect(ran).toMatchObject({ code: 111 });
    expect(ran.stderr).toContain("mysql");
  });
});
