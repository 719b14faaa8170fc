/**
 * Locks that other programs see too: a queue within this process, then flock(2) on the file, exclusive,
 * so that list locks and mboxes agree with the originals, procmail and the like. Through koffi where it
 * is there, without blocking the event loop; else by flock(1), which locks the descriptor it inherits
 * and leaves the lock with us.
 */
import { spawn } from "node:child_process";
import { closeSync, constants, fstatSync, openSync } from "node:fs";
import { setTimeout as delay } from "node:timers/promises";
import { errorText, TemporaryError } from "./errors.ts";

export interface HeldLock {
  /** Harmless when repeated. */
  release(): void;
}

export interface LockOptions {
  /** Give up with TemporaryError after this long; default: wait as long as it takes. */
  readonly limitMilliseconds?: number;
  /** Aborting gives up with TemporaryError. */
  readonly signal?: AbortSignal;
}

const LOCK_EX = 2;
const LOCK_NB = 4;
const LOCK_UN = 8;

interface Native {
  flock(fd: number, operation: number): number;
  errno(): number;
  readonly again: number;
}

let native: Promise<Native | undefined> | undefined;

/** flock(2) of the C library; undefined where koffi is not installed or finds no library. */
function loadNative(): Promise<Native | undefined> {
  native ??= import("koffi").then(
    ({ default: koffi }) => {
      try {
        const flock = koffi.load(null).func("int flock(int fd, int operation)");
        return {
          flock: (fd, operation) => Number(flock(fd, operation)),
          errno: () => koffi.errno(),
          again: koffi.os.errno.EAGAIN ?? 11,
        };
      } catch {
        return undefined;
      }
    },
    () => undefined,
  );
  return native;
}

/** Who waits for a file within this process; the tail of a chain of promises for each. */
const tails = new Map<string, Promise<void>>();

/** Wait for the turn within the process; call what comes back to pass it on. */
async function takeTurn(key: string, options: LockOptions): Promise<() => void> {
  const before = tails.get(key);
  let done = (): void => {};
  const mine = new Promise<void>((resolve) => {
    done = resolve;
  });
  const tail = (before ?? Promise.resolve()).then(() => mine);
  tails.set(key, tail);
  const pass = (): void => {
    done();
    if (tails.get(key) === tail) tails.delete(key);
  };
  if (!before) return pass;
  try {
    await limited(before, options);
  } catch (error) {
    pass();
    throw error;
  }
  return pass;
}

async function limited(work: Promise<void>, options: LockOptions): Promise<void> {
  const { limitMilliseconds, signal } = options;
  if (limitMilliseconds === undefined && !signal) return work;
  const stop = new AbortController();
  const signals = signal ? [signal, stop.signal] : [stop.signal];
  const timeout = delay(limitMilliseconds ?? 0x7fffffff, undefined, {
    signal: AbortSignal.any(signals),
  }).catch(() => {});
  const won = await Promise.race([work.then(() => true), timeout.then(() => false)]);
  stop.abort();
  if (!won) throw busy();
}

function busy(): TemporaryError {
  return new TemporaryError("Unable to lock: another program holds the lock. (#4.3.0)");
}

async function flockNative(lib: Native, fd: number, options: LockOptions): Promise<void> {
  const started = Date.now();
  for (let wait = 2; ; wait = Math.min(wait * 2, 50)) {
    if (lib.flock(fd, LOCK_EX | LOCK_NB) === 0) return;
    const errno = lib.errno();
    if (errno !== lib.again && errno !== 4) {
      throw new TemporaryError(`Unable to lock: error ${errno} of flock. (#4.3.0)`);
    }
    const spent = Date.now() - started;
    if (options.signal?.aborted || spent >= (options.limitMilliseconds ?? Number.MAX_VALUE)) {
      throw busy();
    }
    await delay(wait);
  }
}

/** flock(1) exits with 0 when it has the lock, which then belongs to the open file we share with it. */
async function flockCommand(fd: number, options: LockOptions): Promise<void> {
  const limit = options.limitMilliseconds;
  const wait = limit === undefined ? [] : ["-w", String(Math.max(limit, 1) / 1000)];
  await new Promise<void>((resolve, reject) => {
    const child = spawn("flock", ["-x", ...wait, "3"], {
      stdio: ["ignore", "ignore", "ignore", fd],
      ...(options.signal && { signal: options.signal }),
    });
    child.on("error", (error) => {
      reject(
        new TemporaryError(`Unable to run flock(1): ${errorText(error)}. (#4.3.0)`, {
          cause: error,
        }),
      );
    });
    child.on("exit", (code) => (code === 0 ? resolve() : reject(busy())));
  });
}

/**
 * Lock an open file; the descriptor stays open and is the caller's. `release` before it is closed.
 * `useCommand` takes flock(1) even where flock(2) is at hand.
 */
export async function lockDescriptor(
  fd: number,
  options: LockOptions & { readonly useCommand?: boolean } = {},
): Promise<HeldLock> {
  const { dev, ino } = fstatSync(fd, { bigint: true });
  const pass = await takeTurn(`${dev}:${ino}`, options);
  const lib = options.useCommand ? undefined : await loadNative();
  try {
    await (lib ? flockNative(lib, fd, options) : flockCommand(fd, options));
  } catch (error) {
    pass();
    throw error;
  }
  let held = true;
  return {
    release() {
      if (!held) return;
      held = false;
      lib?.flock(fd, LOCK_UN);
      pass();
    },
  };
}

/** Lock a lock file, made when it is missing (mode 0600). Closing it ends the lock. */
export async function lockFile(path: string, options: LockOptions = {}): Promise<HeldLock> {
  let fd: number;
  try {
    fd = openSync(path, constants.O_WRONLY | constants.O_APPEND | constants.O_CREAT, 0o600);
  } catch (error) {
    throw new TemporaryError(`Unable to open the lock ${path}: ${errorText(error)}. (#4.3.0)`, {
      cause: error,
    });
  }
  try {
    const lock = await lockDescriptor(fd, options);
    let open = true;
    const release = (): void => {
      if (!open) return;
      open = false;
      lock.release();
      closeSync(fd);
    };
    return { release };
  } catch (error) {
    closeSync(fd);
    throw error;
  }
}
