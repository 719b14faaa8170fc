/** The environment workers, and so the programs in .qmail files, start with. */
import type { Environment } from "../../lib/program.ts";
import { deliveryVariables } from "./command-env.ts";

/** Variables that change what node, the linker or a shell runs, or say who started the server. */
const dropped =
  /^(?:NODE_|LD_|DYLD_|BASH_|npm_|SUDO_|SSH_|XDG_|VITEST)|^(?:ENV|IFS|CDPATH|MAIL|LOGNAME|PWD|OLDPWD|SHLVL|_|QMAILDELIVERY)$/;
const fallbackPath = "/usr/local/bin:/usr/bin:/bin";

/** As in qmail's start scripts, the programs of this installation come first in PATH. */
export function workerEnvironment(env: Environment, root: string): Environment {
  const kept: Record<string, string> = {};
  for (const [name, value] of Object.entries(env)) {
    if (value === undefined || dropped.test(name) || deliveryVariables.has(name)) continue;
    kept[name] = value;
  }
  const path = kept.PATH || fallbackPath;
  const bin = `${root}/bin`;
  kept.PATH = path.split(":").includes(bin) ? path : `${bin}:${path}`;
  return kept;
}
