/** What the processes of qmail-start inherit: nothing that makes node load code, nothing of the person who starts it. */
import { existsSync, realpathSync } from "node:fs";
import { dirname, join } from "node:path";
import type { Environment, Host } from "../../lib/program.ts";

const passed = /^(PATH|TZ|LANG|LC_\w+|QMAIL\w+|EZMLM_\w+|EZQMAIL_\w+)$/;
const neverPassed =
  /^(QMAILUSER|QMAILNAME|QMAILSUSER|QMAILSHOST|QMAILHOST|QMAILINJECT|QMAILMFTFILE|QMAILDELIVERY)$/;

/** `node`: the binary that runs us. */
export function childEnvironment(
  { env, home, root }: Pick<Host, "env" | "home" | "root">,
  node: string,
): Environment {
  const kept = Object.entries(env).filter(([name]) => passed.test(name) && !neverPassed.test(name));
  const path = withNode(env.PATH || "/usr/local/bin:/usr/bin:/bin", node);
  return { ...Object.fromEntries(kept), PATH: `${join(root, "bin")}:${path}`, QMAILHOME: home };
}

/**
 * Our programs begin with `#!/usr/bin/env node`: in a shell line of a .qmail file that must find the node
 * that runs us, since no other may load the database driver. Who starts it by its full name, as systemd
 * does, may have another one in PATH, or none.
 */
function withNode(path: string, node: string): string {
  const first = path
    .split(":")
    .map((directory) => join(directory, "node"))
    .find((file) => existsSync(file));
  const isOurs = first !== undefined && realpathSync(first) === realpathSync(node);
  return isOurs ? path : `${dirname(node)}:${path}`;
}
