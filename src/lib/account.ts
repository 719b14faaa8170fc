/**
 * System accounts by name or number, through getent(1) so that every source of the site counts; where
 * it is missing, /etc/passwd. Used when something starts, never per message.
 */
import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";

export interface Account {
  readonly name: string;
  readonly uid: number;
  readonly gid: number;
  readonly home: string;
}

function parse(line: string): Account | undefined {
  const [name = "", , uid = "", gid = "", , home = ""] = line.split(":");
  if (!name || !/^\d+$/.test(uid) || !/^\d+$/.test(gid)) return undefined;
  return { name, uid: Number(uid), gid: Number(gid), home };
}

/** The account of that name or number; undefined when there is none. */
export function findAccount(key: string | number): Account | undefined {
  const text = String(key);
  if (!/^[A-Za-z0-9_][A-Za-z0-9._-]*$/.test(text)) return undefined;
  const asked = spawnSync("getent", ["passwd", text], { encoding: "utf8" });
  if (!asked.error) return parse(asked.stdout.split("\n", 1)[0] ?? "");
  for (const line of readFileSync("/etc/passwd", "utf8").split("\n")) {
    const account = parse(line);
    if (account && (account.name === text || String(account.uid) === text)) return account;
  }
  return undefined;
}
