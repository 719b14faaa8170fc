import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  statSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import type { Account } from "../../../src/lib/account.ts";
import { Cdb } from "../../../src/lib/cdb.ts";
import { runProgram } from "../../../src/lib/program.ts";
import { AssignError, compileAssign, lookUpAssign } from "../../../src/mta/local/assign.ts";
import { maildirmake } from "../../../src/mta/local/maildirmake.ts";
import { qmailGetpw } from "../../../src/mta/local/qmail-getpw.ts";
import { qmailNewu } from "../../../src/mta/local/qmail-newu.ts";
import { lookUpAccount, SystemAccounts } from "../../../src/mta/local/system-accounts.ts";
import { Users } from "../../../src/mta/local/users.ts";
import { RecorderQueue } from "../../support/ezmlm.ts";
import { makeHost } from "./host.ts";

let dir: string;
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), "users-"));
  mkdirSync(join(dir, "users"));
});
afterEach(() => {
  vi.unstubAllEnvs();
  rmSync(dir, { recursive: true, force: true });
});

const assign = (...lines: string[]): void =>
  writeFileSync(join(dir, "users/assign"), [...lines, ".", ""].join("\n"));
const find = (text: string, local: string): string | undefined => {
  const found = lookUpAssign(Cdb.of(compileAssign(text).bytes()), local);
  return found && `${found.user} ${found.home} ${found.dash}|${found.ext}`;
};
const host = (...args: string[]) =>
  makeHost({ args, cwd: dir, home: dir, queue: new RecorderQueue() });

const noAccounts = { find: async () => undefined };

test("lookUpAssign() prefers exact lines, then the longest wildcard, then the first line", () => {
  const text =
    "=joe:exact:1:1:/e:::\n=joe:second:1:1:/s:::\n+joe-:wild:1:1:/w:-::\n+joe-list:long:1:1:/l:-:list:x\n+:all:1:1:/a:-:pre-:\n.\n";
  expect(find(text, "JOE")).toBe("exact /e |");
  expect(find(text, "joe-A.b")).toBe("wild /w -|A.b");
  expect(find(text, "Joe-List-X")).toBe("long /l -|list-X");
  expect(find(text, "joe-")).toBe("wild /w -|");
  expect(find(text, "Other")).toBe("all /a -|pre-Other");
  expect(find("=joe:u:1:1:/h:::\n.\n", "ann")).toBeUndefined();
  expect(find("+JOE:u:1:1:/h:-::\n.\n", "joex")).toBe("u /h -|x");
});

test("compileAssign() writes the records qmail-lspawn of qmail reads", () => {
  const cdb = Cdb.of(
    compileAssign("=Joe:joe:7:8:/home/joe:::\n+joe-:joe:7:8:/home/joe:-:p:\n.\n").bytes(),
  );
  expect(cdb.get("!joe\0")?.toString()).toBe("joe\x007\x008\0/home/joe\0\0");
  expect(cdb.get("!joe-")?.toString()).toBe("joe\x007\x008\0/home/joe\0-\0p");
  expect(cdb.get("")?.toString()).toBe("-");
});

test.each([
  "=joe:u:1:1:/h:::\n",
  "joe:u:1:1:/h:::\n.\n",
  "=joe:u:1:1:/h::\n.\n",
  "=:u:1:1:/h:::\n.\n",
  "",
  "\n.\n",
])("compileAssign() refuses %j", (text) => {
  expect(() => compileAssign(text)).toThrow(AssignError);
});

test("Users reads a newer assign directly, else the cdb", async () => {
  const users = new Users(dir, noAccounts, { uid: 0, gid: 0 });
  assign("=joe:old:7:8:/old:::");
  expect((await users.find("joe")).user).toBe("old");
  const { host: newu } = host();
  expect(await runProgram(qmailNewu, newu)).toBe(0);
  expect(existsSync(join(dir, "users/cdb.tmp"))).toBe(false);
  assign("=joe:new:7:8:/new:::");
  const { mtimeMs } = statSync(join(dir, "users/cdb"));
  utimesSync(join(dir, "users/assign"), new Date(), new Date(mtimeMs + 5000));
  expect((await users.find("joe")).user).toBe("new");
  utimesSync(join(dir, "users/assign"), new Date(), new Date(mtimeMs - 5000));
  expect((await users.find("joe")).user).toBe("old");
  rmSync(join(dir, "users/assign"));
  expect((await users.find("joe")).user).toBe("old");
});

test("Users sees each of many edits that follow one another within a tick of the clock", async () => {
  const users = new Users(dir, noAccounts, { uid: 0, gid: 0 });
  for (let round = 100; round < 300; round++) {
    assign(`=joe:u${round}:7:8:/home:::`);
    expect((await users.find("joe")).user).toBe(`u${round}`);
  }
});

test("Users reports what qmail-lspawn reports", async () => {
  const root = new Users(dir, noAccounts, { uid: 0, gid: 0 });
  await expect(root.find("joe")).rejects.toMatchObject({ code: 116 });
  assign("=joe:joe:0:0:/h:::", "=bad:joe:x:0:/h:::");
  await expect(root.find("joe")).rejects.toMatchObject({ code: 113 });
  await expect(root.find("bad")).rejects.toMatchObject({ code: 112 });
  writeFileSync(join(dir, "users/assign"), "junk");
  await expect(root.find("joe")).rejects.toMatchObject({ code: 117 });
});

test("Users in one-uid mode delivers everything under its own uid and asks no accounts", async () => {
  const accounts = { find: () => Promise.reject(new Error("asked")) };
  const users = new Users(dir, accounts, { uid: 500, gid: 501 });
  assign("+:alias:7:8:/lists:-::");
  expect(await users.find("Some-List")).toEqual({
    user: "alias",
    uid: 500,
    gid: 501,
    home: "/lists",
    dash: "-",
    ext: "Some-List",
  });
  assign();
  await expect(users.find("x")).rejects.toMatchObject({ code: 116 });
});

test("lookUpAccount() walks prefixes; root, strangers' homes and long names belong to alias", async () => {
  const uid = process.getuid?.() ?? 0;
  const mine = uid === 0 ? 65534 : uid;
  const { chownSync } = await import("node:fs");
  mkdirSync(join(dir, "home"));
  if (uid === 0) chownSync(join(dir, "home"), mine, mine);
  const table: Record<string, Account> = {
    joe: { name: "joe", uid: mine, gid: 1, home: join(dir, "home") },
    "joe-x": { name: "joe-x", uid: mine + 1, gid: 1, home: join(dir, "home") },
    root: { name: "root", uid: 0, gid: 0, home: "/" },
    gone: { name: "gone", uid: mine, gid: 1, home: join(dir, "none") },
    alias: { name: "alias", uid: 900, gid: 900, home: "/alias" },
  };
  const source = { find: async (name: string) => table[name] };
  const look = async (local: string): Promise<string> => {
    const { user, dash, ext } = await lookUpAccount(source, local);
    return `${user} ${dash}|${ext}`;
  };
  expect(await look("JOE")).toBe("joe |");
  expect(await look("Joe-Foo-Bar")).toBe("joe -|Foo-Bar");
  expect(await look("joe-")).toBe("joe -|");
  expect(await look("joe-x")).toBe("joe -|x");
  expect(await look("joex")).toBe("alias -|joex");
  expect(await look("root")).toBe("alias -|root");
  expect(await look("gone-a")).toBe("alias -|gone-a");
  delete table.alias;
  await expect(look("root")).rejects.toMatchObject({ code: 116 });
});

test("SystemAccounts sees changes of the passwd file", async () => {
  const passwd = join(dir, "passwd");
  writeFileSync(passwd, "joe:x:7:8:Joe:/home/joe:/bin/sh\nbroken\n");
  const accounts = new SystemAccounts(passwd, join(dir, "nsswitch"));
  expect(await accounts.find("joe")).toEqual({ name: "joe", uid: 7, gid: 8, home: "/home/joe" });
  expect(await accounts.find("ann")).toBeUndefined();
  writeFileSync(passwd, "ann:x:9:9:Ann:/home/ann:/bin/sh\n");
  expect(await accounts.find("ann")).toMatchObject({ uid: 9 });
  expect(await accounts.find("joe")).toBeUndefined();
});

test("SystemAccounts asks the other sources of the site, and tells silence from absence", async () => {
  const passwd = join(dir, "passwd");
  const nsswitch = join(dir, "nsswitch");
  writeFileSync(passwd, "local:x:7:8::/home/local:/bin/sh\n");
  writeFileSync(nsswitch, "passwd: files ldap\n");
  const accounts = new SystemAccounts(passwd, nsswitch);
  vi.stubEnv("PATH", dir);
  const getent = (script: string): void =>
    writeFileSync(join(dir, "getent"), `#!/bin/sh\n${script}\n`, { mode: 0o755 });
  getent("echo joe:x:70:80::/home/joe:/bin/sh");
  expect(await accounts.find("joe")).toMatchObject({ uid: 70, home: "/home/joe" });
  expect(await accounts.find("local")).toMatchObject({ uid: 7 });
  // By number getent finds accounts too; mail does not.
  expect(await accounts.find("70")).toBeUndefined();
  getent("exit 2");
  expect(await accounts.find("joe")).toBeUndefined();
  for (const script of ["exit 1", "exit 3", "kill -9 $$", "echo junk"]) {
    getent(script);
    await expect(accounts.find("joe")).rejects.toMatchObject({ code: 121 });
  }
});

test("qmail-newu keeps the cdb when assign is malformed", async () => {
  assign("=joe:joe:7:8:/h:::");
  await runProgram(qmailNewu, host().host);
  const before = readFileSync(join(dir, "users/cdb"));
  writeFileSync(join(dir, "users/assign"), "=joe:joe:7:8:/h:::\n");
  const { host: newu, said } = host();
  expect(await runProgram(qmailNewu, newu)).toBe(111);
  expect(said()).toBe(
    "qmail-newu: fatal: bad format in users/assign: no line with a dot at the end\n",
  );
  expect(readFileSync(join(dir, "users/cdb")).equals(before)).toBe(true);
});

test("qmail-getpw wants one local part", async () => {
  expect(await runProgram(qmailGetpw, host().host)).toBe(100);
});

test("maildirmake makes a private maildir and refuses an existing one", async () => {
  expect(await runProgram(maildirmake, host("M").host)).toBe(0);
  for (const part of ["", "tmp", "new", "cur"]) {
    expect(statSync(join(dir, "M", part)).mode & 0o7777).toBe(0o700);
  }
  const { host: again, said } = host("M");
  expect(await runProgram(maildirmake, again)).toBe(111);
  expect(said()).toMatch(/^maildirmake: fatal: unable to mkdir .*: file already exists\n$/);
  expect(await runProgram(maildirmake, host().host)).toBe(100);
});
