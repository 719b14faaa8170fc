/** Accounts when the name service of the site answers, has none, fails, or is not there. */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { findAccount } from "../../src/lib/account.ts";
import { TemporaryError } from "../../src/lib/errors.ts";
import { findAccounts } from "../../src/lib/one-uid.ts";

let dir: string;
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), "account-"));
  vi.stubEnv("PATH", dir);
});
afterEach(() => {
  vi.unstubAllEnvs();
  rmSync(dir, { recursive: true });
});

const getent = (script: string): void =>
  writeFileSync(join(dir, "getent"), `#!/bin/sh\n${script}\n`, { mode: 0o755 });

test("findAccount() gives what getent found", () => {
  getent('[ "$*" = "passwd joe" ] && echo "joe:x:70:80:Joe:/home/joe:/bin/sh"');
  expect(findAccount("joe")).toEqual({ name: "joe", uid: 70, gid: 80, home: "/home/joe" });
});

test("findAccount() knows an absent account from a name service that fails", () => {
  getent("exit 2");
  expect(findAccount("joe")).toBeUndefined();
  for (const script of ["exit 1", "exit 3", "kill -9 $$", "echo junk"]) {
    getent(script);
    expect(() => findAccount("joe"), script).toThrow(TemporaryError);
  }
});

test("findAccounts() throws rather than say that the accounts of qmail are missing", () => {
  getent('case "$2" in qmailr) exit 1;; *) echo "$2:x:70:80::/:/bin/false";; esac');
  expect(() => findAccounts()).toThrow(/account qmailr/);
});

test("findAccount() reads /etc/passwd where there is no getent", () => {
  expect(findAccount("root")).toMatchObject({ uid: 0 });
  expect(findAccount(0)).toMatchObject({ uid: 0 });
  expect(findAccount("no-such-account-here")).toBeUndefined();
  expect(findAccount("-s")).toBeUndefined();
});
