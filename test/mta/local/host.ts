/** A Host for tests of programs of local delivery: output in one string, children real. */
import { fileURLToPath } from "node:url";
import { emptyInput } from "../../../src/lib/message-input.ts";
import type { Host } from "../../../src/lib/program.ts";
import { ProcessCommands } from "../../../src/lib/spawn.ts";

export const root = fileURLToPath(new URL("../../..", import.meta.url)).replace(/\/$/, "");

export function makeHost(given: Pick<Host, "args" | "cwd" | "queue"> & Partial<Host>): {
  host: Host;
  said: () => string;
} {
  const parts: Buffer[] = [];
  const output = {
    write: (data: string | Uint8Array) => void parts.push(Buffer.from(data)),
    flush: () => Promise.resolve(),
  };
  const env = { PATH: "/usr/bin:/bin", ...given.env };
  const stdin = given.stdin ?? emptyInput;
  const host: Host = {
    stdout: output,
    stderr: output,
    commands: new ProcessCommands({ cwd: given.cwd, env, stdin }),
    signal: new AbortController().signal,
    home: "/nonexistent",
    root,
    uid: process.getuid?.() ?? 0,
    gid: process.getgid?.() ?? 0,
    pid: process.pid,
    now: () => new Date(),
    ...given,
    stdin,
    env,
  };
  return { host, said: () => Buffer.concat(parts).toString() };
}
