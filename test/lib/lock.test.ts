import { spawn, spawnSync } from "node:child_process";
import { closeSync, openSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it, onTestFinished } from "vitest";
import { TemporaryError } from "../../src/lib/errors.ts";
import { lockDescriptor, lockFile } from "../../src/lib/lock.ts";
import { temporaryDirectory } from "../support/ezmlm.ts";

/** What a shell script sees: whether flock(1) gets the lock at once. */
const isFree = (path: string): boolean => spawnSync("flock", ["-n", path, "true"]).status === 0;

/** A flock(1) that holds the lock until it is told to go on. */
async function foreignLock(path: string): Promise<{ release(): Promise<void> }> {
  const child = spawn("flock", [path, "sh", "-c", "echo held; read _"], {
    stdio: ["pipe", "pipe", "inherit"],
  });
  const gone = new Promise<void>((resolve) => child.on("exit", () => resolve()));
  onTestFinished(() => {
    child.stdin.destroy();
    return gone;
  });
  await new Promise((resolve) => child.stdout.once("data", resolve));
  return {
    release() {
      child.stdin.end("\n");
      return gone;
    },
  };
}

describe("lockFile()", () => {
  it("keeps flock(1) out until it is released", async () => {
    const path = join(temporaryDirectory(), "lock");
    const lock = await lockFile(path);
    expect(isFree(path)).toBe(false);
    lock.release();
    lock.release();
    expect(isFree(path)).toBe(true);
  });

  it("waits for flock(1)", async () => {
    const path = join(temporaryDirectory(), "lock");
    const foreign = await foreignLock(path);
    const events: string[] = [];
    const mine = lockFile(path).then((lock) => {
      events.push("mine");
      return lock;
    });
    await expect(lockFile(path, { limitMilliseconds: 20 })).rejects.toThrow(TemporaryError);
    expect(events).toEqual([]);
    await foreign.release();
    (await mine).release();
  });

  it("serves those within the process one at a time and in turn", async () => {
    const path = join(temporaryDirectory(), "lock");
    const order: number[] = [];
    let inside = 0;
    await Promise.all(
      [1, 2, 3, 4, 5].map(async (who) => {
        const lock = await lockFile(path);
        expect(++inside).toBe(1);
        order.push(who);
        await new Promise((resolve) => setImmediate(resolve));
        inside--;
        lock.release();
      }),
    );
    expect(order).toEqual([1, 2, 3, 4, 5]);
    expect(isFree(path)).toBe(true);
  });

  it("lets the others go on when one gives up", async () => {
    const path = join(temporaryDirectory(), "lock");
    const first = await lockFile(path);
    const impatient = lockFile(path, { limitMilliseconds: 1 });
    const patient = lockFile(path);
    await expect(impatient).rejects.toThrow("another program holds the lock");
    first.release();
    (await patient).release();
    expect(isFree(path)).toBe(true);
  });

  it("gives up when it is aborted", async () => {
    const path = join(temporaryDirectory(), "lock");
    const foreign = await foreignLock(path);
    const stop = new AbortController();
    const waiting = lockFile(path, { signal: stop.signal });
    stop.abort();
    await expect(waiting).rejects.toThrow(TemporaryError);
    await foreign.release();
  });

  it("calls a lock it may not open temporary trouble", async () => {
    await expect(lockFile(join(temporaryDirectory(), "none", "lock"))).rejects.toThrow(
      TemporaryError,
    );
  });
});

describe("lockDescriptor() by flock(1)", () => {
  it("holds the lock after flock(1) has gone, until the descriptor is closed", async () => {
    const path = join(temporaryDirectory(), "mbox");
    const fd = openSync(path, "a");
    const lock = await lockDescriptor(fd, { useCommand: true });
    expect(isFree(path)).toBe(false);
    lock.release();
    closeSync(fd);
    expect(isFree(path)).toBe(true);
  });

  it("gives up after the limit", async () => {
    const path = join(temporaryDirectory(), "mbox");
    const foreign = await foreignLock(path);
    const fd = openSync(path, "a");
    await expect(lockDescriptor(fd, { useCommand: true, limitMilliseconds: 10 })).rejects.toThrow(
      TemporaryError,
    );
    closeSync(fd);
    await foreign.release();
  });
});
