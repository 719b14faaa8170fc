/**
 * Tries for real whether a uid reaches what it needs: a small shell under that uid looks. A check of
 * mode bits would know nothing of ACLs, read-only mounts or a node below somebody's 0700 home.
 */
import { spawnSync } from "node:child_process";
import { existsSync, lstatSync, realpathSync } from "node:fs";
import { dirname } from "node:path";
import { TemporaryError } from "../../lib/errors.ts";
import { type Owner, ownerOf } from "../../lib/one-uid.ts";

/** x: enter the directory or run the file; r: read; w: write into the directory. */
export type Need = readonly [test: "x" | "r" | "w", path: string];

/** The directories on the way to `path`, outermost first, then what is needed of it. */
function steps([test, path]: Need): Need[] {
  const above: Need[] = [];
  for (let at = dirname(path); at !== dirname(at); at = dirname(at)) above.unshift(["x", at]);
  return [...above, [test, path]];
}

/** Prints the number of the first step that fails. */
const script =
  'n=0; while [ $# -gt 0 ]; do test "-$1" "$2" || { echo $n; exit 0; }; shift 2; n=$((n+1)); done';

/**
 * Throws one line with the command that mends it, when `owner` lacks one of `needs`. Undefined: us,
 * who are `self`.
 */
export function requireAccess(
  owner: Owner | undefined,
  self: Owner,
  who: string,
  needs: readonly Need[],
): void {
  const all = needs.flatMap(steps);
  const result = spawnSync("/bin/sh", ["-c", script, "sh", ...all.flat()], {
    encoding: "utf8",
    cwd: "/",
    env: {},
    ...owner,
  });
  if (result.error)
    throw new TemporaryError(`cannot run /bin/sh as ${who}`, { cause: result.error });
  const answer = result.stdout.trim();
  if (answer === "" && result.status === 0) return;
  const [test, path] = all[Number(answer)] ?? ["x", "/"];
  if (!existsSync(path)) throw new TemporaryError(`${path} is missing; ${missingHint(path)}`);
  throw new TemporaryError(`${who} cannot ${accessText(test, path, owner ?? self)}`);
}

function missingHint(path: string): string {
  if (path.includes("/dist")) return "make it with: npm run build";
  if (path.includes("/node_modules/")) return "make it with: npm ci";
  return "make it with: qmail-setup";
}

function accessText(test: Need[0], path: string, owner: Owner): string {
  const quoted = shellWord(path);
  if (test === "w") {
    const isHis = ownerOf(path)?.uid === owner.uid;
    const mend = isHis
      ? `chmod u+w ${quoted}`
      : `chown -R ${owner.uid}:${owner.gid} ${shellWord(chownTarget(path))}`;
    return `write into ${path}; mend it with: ${mend}`;
  }
  if (test === "r") return `read ${path}; mend it with: chmod a+r ${quoted}`;
  return `get to ${path}; mend it with: chmod a+x ${quoted}`;
}

/** chown -R changes a link and not where it leads. One that is not root's may lead anywhere. */
function chownTarget(path: string): string {
  return lstatSync(path).uid === 0 ? realpathSync(path) : path;
}

function shellWord(path: string): string {
  return /^[\w./@+-]+$/.test(path) ? path : `'${path.replaceAll("'", "'\\''")}'`;
}
