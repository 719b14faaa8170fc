/**
 * System accounts by name or number, through getent(1) so that every source of the site counts. A source
 * that does not answer is trouble, never "no such account": who starts without the accounts of qmail
 * gives all processes one uid.
 */
import { execFile, spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { isErrno, TemporaryError } from "./errors.ts";

export interface Account {
  readonly name: string;
  readonly uid: number;
  readonly gid: number;
  readonly home: string;
}

const LIMIT_MS = 30_000;
/** Exit code of getent: no such key in any source. */
const ABSENT = 2;

/** A line of passwd(5); undefined when it is none. */
export function parseAccount(line: string): Account | undefined {
  const [name = "", , uid = "", gid = "", , home = ""] = line.split(":");
  if (!name || !/^\d+$/.test(uid) || !/^\d+$/.test(gid)) return undefined;
  return { name, uid: Number(uid), gid: Number(gid), home };
}

/** No option, and nothing that could be two words or lines. */
function mayBeAccount(text: string): boolean {
  return /^[A-Za-z0-9_][A-Za-z0-9._+-]*\$?$/.test(text);
}

/** What getent said. `status` is its exit code, or what kept it from having one. */
function answer(key: string, status: unknown, stdout: string): Account | undefined {
  if (status === ABSENT) return undefined;
  const account = status === 0 ? parseAccount(stdout.split("\n", 1)[0] ?? "") : undefined;
  if (account) return account;
  throw new TemporaryError(`Unable to look up account ${key}: getent failed. (#4.3.0)`, {
    cause: status,
  });
}

/**
 * The account of that name or number; undefined when there is none. Waits: for starts, never per
 * message. Where getent is missing /etc/passwd counts. Throws TemporaryError when nobody can say.
 */
export function findAccount(key: string | number): Account | undefined {
  const text = String(key);
  if (!mayBeAccount(text)) return undefined;
  const options = { encoding: "utf8", timeout: LIMIT_MS } as const;
  const asked = spawnSync("getent", ["passwd", text], options);
  if (!isErrno(asked.error, "ENOENT")) {
    return answer(text, asked.error ?? asked.status ?? asked.signal, asked.stdout);
  }
  for (const line of readFileSync("/etc/passwd", "utf8").split("\n")) {
    const account = parseAccount(line);
    if (account && (account.name === text || String(account.uid) === text)) return account;
  }
  return undefined;
}

/**
 * The account of that name, without waiting. Rejects with TemporaryError when nobody can say, also where
 * getent is missing. A number is no name, though getent takes one.
 */
export function askAccount(name: string): Promise<Account | undefined> {
  if (!mayBeAccount(name) || /^\d+$/.test(name)) return Promise.resolve(undefined);
  return new Promise((resolve, reject) => {
    execFile("getent", ["passwd", name], { timeout: LIMIT_MS }, (error, stdout) => {
      try {
        resolve(answer(name, error ? (error.code ?? error) : 0, stdout));
      } catch (trouble) {
        reject(trouble);
      }
    });
  });
}
