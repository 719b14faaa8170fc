/** What is left of a program line whose time is over. */
import { readFileSync } from "node:fs";
import { expect, test, vi } from "vitest";
import { bufferInput } from "../../../src/lib/message-input.ts";
import type { ExitStatus } from "../../../src/lib/program.ts";
import { runChild } from "../../../src/mta/local/child.ts";

function signalGroup(leader: number, signal: NodeJS.Signals | 0): boolean {
  try {
    return process.kill(-leader, signal);
  } catch {
    return false;
  }
}

/** Neither gone nor a zombie, which its parent fetches when it likes. */
function runs(pid: number): boolean {
  try {
    return !/\) [ZX] /.test(readFileSync(`/proc/${pid}/stat`, "latin1"));
  } catch {
    return false;
  }
}

/** Runs a line, ends its time when it has said `ready`; what it wrote, and how it ended. */
async function timedOut(line: string, graceMs: number): Promise<{ said: string; end: ExitStatus }> {
  const controller = new AbortController();
  let said = "";
  const output = {
    write(data: string | Uint8Array) {
      said += Buffer.from(data).toString();
      if (said.includes("ready\n")) controller.abort();
    },
    flush: () => Promise.resolve(),
  };
  const end = await runChild(
    ["/bin/sh", "-c", line],
    {
      cwd: "/",
      env: { PATH: process.env.PATH },
      stdin: bufferInput(""),
      stdout: output,
      stderr: output,
      signal: controller.signal,
      signalGroup,
    },
    graceMs,
  );
  return { said, end };
}

test("runChild() leaves nothing behind of a line over its time, though TERM is ignored", async () => {
  const stubborn = "trap '' TERM; echo pid $$; echo ready; while :; do sleep 0.1; done";
  const { said, end } = await timedOut(`sh -c "${stubborn.replaceAll("$", "\\$")}" & wait`, 200);
  const pid = Number(/pid (\d+)/.exec(said)?.[1]);
  expect(end).toEqual({ code: 111, signal: "SIGTERM" });
  try {
    await vi.waitFor(() => expect(runs(pid)).toBe(false));
  } finally {
    if (runs(pid)) process.kill(pid, "SIGKILL");
  }
});

test("runChild() gives the children of a line the time to end by themselves", async () => {
  const tidy = "trap 'sleep 0.2; echo tidied; exit' TERM; echo ready; while :; do sleep 0.1; done";
  const { said } = await timedOut(`sh -c "${tidy}" & wait`, 60_000);
  expect(said).toContain("tidied\n");
});

test("runChild() ends a leader that ignores TERM", async () => {
  const { end } = await timedOut("trap '' TERM; echo ready; while :; do sleep 0.1; done", 100);
  expect(end).toEqual({ code: 111, signal: "SIGKILL" });
});
