/** A Host for tests of programs of local delivery: output in one string, children real. */
import { bufferInput } from "../../../src/lib/message-input.ts";
import type { Host } from "../../../src/lib/program.ts";
import { ProcessCommands } from "../../../src/lib/spawn.ts";
import { plainPath, root } from "../../support/root.ts";

export { root };

export function makeHost(given: Pick<Host, "args" | "cwd" | "queue"> & Partial<Host>): {
  host: Host;
  said: () => string;
} {
  const parts: Buffer[] = [];
  const output = {
    write: (data: string | Uint8Array) => void parts.push(Buffer.from(data)),
    flush: () => Promise.resolve(),
  };
  const env = { PATH: plainPath, ...given.env };
  const stdin = given.stdin ?? bufferInput("");
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
