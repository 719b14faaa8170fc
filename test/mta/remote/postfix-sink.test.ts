/** The engine against a server that is not ours: smtp-sink of Postfix. CI installs it. */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { accessSync, constants } from "node:fs";
import { connect, createServer } from "node:net";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { deliver, EngineKit, letters, many } from "../../support/remote-engine.ts";

/** POSTFIX_BIN, a Debian package unpacked below the temporary directory, PATH, where Debian puts it. */
const places = [
  process.env.POSTFIX_BIN ?? "",
  join(tmpdir(), "postfix", "usr", "sbin"),
  ...(process.env.PATH ?? "").split(":"),
  "/usr/sbin",
];
const program = places
  .filter((directory) => directory !== "")
  .map((directory) => join(directory, "smtp-sink"))
  .find((path) => {
    try {
      accessSync(path, constants.X_OK);
      return true;
    } catch {
      return false;
    }
  });

let kit: EngineKit;
let child: ChildProcess | undefined;

beforeEach(() => {
  kit = new EngineKit();
});

afterEach(async () => {
  await kit.stop();
  if (child && child.exitCode === null && child.signalCode === null) {
    child.kill();
    await once(child, "exit");
  }
});

async function freePort(): Promise<number> {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  server.close();
  await once(server, "close");
  return address && typeof address === "object" ? address.port : 0;
}

/** Resolves with the port once the sink answers. */
async function startSink(args: string[]): Promise<number> {
  const port = await freePort();
  const asUser = process.getuid?.() === 0 ? ["-u", "nobody"] : [];
  child = spawn(program as string, [...asUser, ...args, `127.0.0.1:${port}`, "256"], {
    stdio: ["ignore", "inherit", "inherit"],
    env: { ...process.env, LD_LIBRARY_PATH: join(dirname(program ?? ""), "..", "lib", "postfix") },
  });
  const answers = (): Promise<boolean> =>
    new Promise((resolve) => {
      const probe = connect(port, "127.0.0.1");
      probe.on("connect", () => {
        probe.destroy();
        resolve(true);
      });
      probe.on("error", () => resolve(false));
    });
  while (child.exitCode === null && !(await answers())) await new Promise(setImmediate);
  return port;
}

describe("Engine against smtp-sink", () => {
  it("is tested where CI runs", () => {
    expect(program !== undefined || !process.env.CI, "smtp-sink is missing").toBe(true);
  });

  it.runIf(program).each([
    ["with PIPELINING", [], "K".repeat(500)],
    ["without PIPELINING", ["-p"], "K".repeat(500)],
    ["without ESMTP", ["-e"], "K".repeat(500)],
    ["that answers RCPT with 4xx", ["-r", "rcpt"], "Z".repeat(500)],
    ["that answers the message with 5xx", ["-f", "."], "D".repeat(500)],
    ["that closes at DATA", ["-q", "data"], "Z".repeat(500)],
  ])("delivers to one %s", async (_name, args, verdicts) => {
    const port = await startSink(args);
    const engine = kit.start(port);
    const slots = await Promise.all([
      deliver(engine, { sender: "l-@me.example-@[]", to: many(400) }),
      deliver(engine, { to: many(100) }),
    ]);
    expect(slots.map(letters).join("")).toBe(verdicts);
  });
});
