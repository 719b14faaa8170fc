/** Where the time goes: with EZQMAIL_PROFILE=DIR every long-lived process leaves a CPU profile in DIR when it ends. */
import type { Environment } from "./program.ts";

/** Arguments for node in front of the entry file. */
export function profileArguments(env: Environment): string[] {
  return env.EZQMAIL_PROFILE ? ["--cpu-prof", `--cpu-prof-dir=${env.EZQMAIL_PROFILE}`] : [];
}
