import { readFileSync, renameSync, rmSync, statSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { openList } from "../../../src/ezmlm/list/list.ts";
import { bareList } from "../../support/bare-list.ts";
import { makeHost } from "../../support/ezmlm.ts";

test("two programs of one process use one connection, one after the other", async () => {
  const { dir } = await bareList();
  const { host } = makeHost({ cwd: dir });
  const first = await openList(host, dir);
  const db = first.store.open();
  const meanwhile = await openList(host, dir);
  expect(meanwhile.store.open()).not.toBe(db);
  meanwhile.close();
  first.close();
  const next = await openList(host, dir);
  expect(next.store.open().open).toBe(true);
  expect(await next.db().count()).toBe(2);
  next.close();
});

test("opening a list once more takes no locks from who has it open", async () => {
  const { dir } = await bareList();
  const { host } = makeHost({ cwd: dir });
  const first = await openList(host, dir);
  expect(await first.db().count()).toBe(2);
  const inode = statSync(join(dir, "list.db")).ino;
  const locks = (): string[] =>
    readFileSync("/proc/locks", "latin1")
      .split("\n")
      .filter((line) => line.includes(` ${process.pid} `) && line.includes(`:${inode} `))
      .map((line) => line.replace(/^\d+: /, ""));
  const held = locks();
  expect(held).not.toEqual([]);
  const second = await openList(host, dir);
  second.store.open();
  expect(locks()).toEqual(expect.arrayContaining(held));
  second.close();
  first.close();
});

test("a list that was made anew at the same place is not read through the old file", async () => {
  const { dir } = await bareList();
  for (const name of ["list.db", "list.db-wal", "list.db-shm"])
    rmSync(join(dir, name), { force: true });
  const { host } = makeHost({ cwd: dir });
  const list = await openList(host, dir);
  expect(await list.db().count()).toBe(0);
  list.close();
});

test("a file that was replaced while a program used it is not read through the old one", async () => {
  const { dir } = await bareList();
  const { dir: other } = await bareList({}, ["cee@example.net"]);
  const { host } = makeHost({ cwd: dir });
  const busy = await openList(host, dir);
  expect(await busy.db().count()).toBe(2);
  const restored = await openList(makeHost({ cwd: other }).host, other);
  await restored.store.open().backup(join(dir, "restored"));
  restored.close();
  for (const name of ["list.db-wal", "list.db-shm"]) rmSync(join(dir, name), { force: true });
  renameSync(join(dir, "restored"), join(dir, "list.db"));
  busy.close();
  const next = await openList(host, dir);
  expect(await next.db().count()).toBe(1);
  next.close();
});

test("a command leaves no side files of SQLite behind", async () => {
  const { dir, has } = await bareList();
  const fresh = { execPath: process.execPath, onSignal: () => {} };
  const { host } = makeHost({ cwd: dir, host: { process: fresh } });
  const inProcess = await openList(makeHost({ cwd: dir }).host, dir);
  inProcess.store.open().close();
  const list = await openList(host, dir);
  await list.db().add("cee@example.net", {});
  list.close();
  expect(has("list.db-wal")).toBe(false);
});
