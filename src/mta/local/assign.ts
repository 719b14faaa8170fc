/**
 * users/assign and its compiled form users/cdb: which user, home and .qmail extension a local part
 * has. One look-up serves both: an assign file read directly is compiled in memory. qmail-users(5);
 * qmail reference 3.4.
 */
import { asciiLower } from "../../lib/address.ts";
import { type Cdb, CdbWriter } from "../../lib/cdb.ts";
import type { UserRecord } from "../channel/worker-messages.ts";

/** The file breaks a rule; `line` counts from 1. */
export class AssignError extends Error {
  override readonly name = "AssignError";
}

const FIELDS = 6;

/** Compile the text of users/assign. Throws AssignError. */
export function compileAssign(text: string): CdbWriter {
  const writer = new CdbWriter();
  const wildcardEnds = new Set<string>();
  let number = 0;
  const lines = text.split("\n");
  if (lines.at(-1) === "") lines.pop();
  for (const line of lines) {
    number++;
    if (line.startsWith(".")) {
      return writer.add("", [...wildcardEnds].join(""));
    }
    const { wildcard, name, data } = parseAssignLine(line, number);
    const key = asciiLower(name);
    writer.add(`!${key}${wildcard ? "" : "\0"}`, data);
    if (wildcard && key !== "") wildcardEnds.add(key.at(-1) as string);
  }
  throw new AssignError("bad format in users/assign: no line with a dot at the end");
}

function parseAssignLine(
  line: string,
  number: number,
): { wildcard: boolean; name: string; data: string } {
  const bad = (why: string): AssignError =>
    new AssignError(`bad format in users/assign line ${number}: ${why}`);
  if (line.includes("\0")) throw bad("NUL");
  const type = line[0];
  if (type !== "=" && type !== "+") throw bad("it starts with neither = nor + nor a dot");
  const [name = "", ...fields] = line.slice(1).split(":");
  // Seven colons; what follows the last one is ignored.
  if (fields.length < FIELDS + 1) throw bad("fewer than seven colons");
  if (name === "" && type === "=") throw bad("empty name");
  const record = fields.slice(0, FIELDS);
  return { wildcard: type === "+", name, data: record.join("\0") };
}

/** Data that holds no usable record. */
export class RecordError extends Error {
  override readonly name = "RecordError";
}

/** Look a local part up; undefined when nothing matches. Throws CdbError or RecordError. */
export function lookUpAssign(cdb: Cdb, local: string): UserRecord | undefined {
  const exact = cdb.get(`!${asciiLower(local)}\0`);
  if (exact) return parseRecord(exact, "");
  const ends = asciiLower(cdb.get("")?.toString("utf8") ?? "");
  for (let size = local.length; size >= 0; size--) {
    const prefix = asciiLower(local.slice(0, size));
    if (size > 0 && !ends.includes(prefix.at(-1) as string)) continue;
    const data = cdb.get(`!${prefix}`);
    if (data) return parseRecord(data, local.slice(size));
  }
  return undefined;
}

function parseRecord(data: Buffer, remainder: string): UserRecord {
  const fields = data.toString("utf8").split("\0");
  const [user, uid = "", gid = "", home, dash, ext] = fields;
  if (user === undefined || home === undefined || dash === undefined || ext === undefined) {
    throw new RecordError("too few fields");
  }
  if (!isId(uid) || !isId(gid) || !home.startsWith("/")) throw new RecordError("bad fields");
  return { user, uid: Number(uid), gid: Number(gid), home, dash, ext: ext + remainder };
}

function isId(text: string): boolean {
  return /^\d{1,10}$/.test(text) && Number(text) <= 0xffff_fffe;
}
