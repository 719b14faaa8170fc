/** The pool of qmail-lspawn with processes that misbehave as told. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { build } from "esbuild";
import { afterAll, afterEach, beforeAll, expect, test, vi } from "vitest";
import type { Report } from "../../../src/mta/channel/protocol.ts";
import { type WorkerLimits, workerLimits } from "../../../src/mta/local/limits.ts";
import { DELIVERY_SECONDS } from "../../../src/mta/local/worker.ts";
import { WorkerPool } from "../../../src/mta/local/worker-pool.ts";
import { root } from "./lspawn-rig.ts";

let dir: string;
let pool: WorkerPool | undefined;
let clock = 0;
let next = 0;
let wake = (): void => {};
const reports = new Map<number, Report>();
const announced: number[] = [];

beforeAll(async () => {
  dir = mkdtempSync(join(tmpdir(), "pool-"));
  await build({
    entryPoints: [join(root, "test/mta/local/fake-worker.ts")],
    outfile: join(dir, "fake-worker.mjs"),
    bundle: true,
    format: "esm",
    platform: "node",
  });
});
afterAll(() => rmSync(dir, { recursive: true, force: true }));
afterEach(async () => {
  pool?.stop();
  pool?.kill();
  await until(() => pool?.workerPids.length === 0);
});

async function until(condition: () => boolean, limitMs = 10_000): Promise<void> {
  const deadline = Date.now() + limitMs;
  while (!condition()) {
    if (Date.now() > deadline) throw new Error("waited in vain");
    await new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, 20);
      wake = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  }
}

function makePool(limits: Partial<WorkerLimits> = {}, node = process.execPath): WorkerPool {
  clock = 1000;
  reports.clear();
  announced.length = 0;
  pool = new WorkerPool({
    limits: { ...workerLimits, ...limits },
    start: {
      node,
      entry: join(dir, "fake-worker.mjs"),
      env: {},
      setsIds: false,
      welcome: { version: 1, queueHome: dir, root, defaultDelivery: "" },
    },
    announce: async (uid) => {
      announced.push(uid);
      return Buffer.alloc(32);
    },
    report: (report) => {
      reports.set(report.delivery, report);
      wake();
    },
    now: () => clock,
  });
  return pool;
}

function submit(local: string, uid = 1): number {
  const delivery = ++next;
  const user = { user: "u", uid, gid: 1, home: "/h", dash: "-", ext: local };
  pool?.submit({
    type: "run",
    delivery,
    deliveryKey: `${delivery}.1`,
    message: 1,
    token: Buffer.alloc(1),
    sizeBytes: 1,
    sender: "",
    local,
    host: "h",
    user,
    prefix: "",
    asCommand: false,
  });
  return delivery;
}

async function outcome(delivery: number): Promise<string> {
  await until(() => reports.has(delivery));
  const report = reports.get(delivery) as Report;
  return report.verdict + report.text;
}

const crashed = "Zqmail-local crashed.\n";

test("a line that killed a worker twice runs as commands from then on", async () => {
  makePool();
  expect(await outcome(submit("crash"))).toBe(crashed);
  expect(await outcome(submit("crash"))).toBe(crashed);
  expect(await outcome(submit("crash"))).toBe("Kas command");
  expect(await outcome(submit("other"))).toMatch(/^Kby /);
});

test("a line that kills a worker it shares is found among the others, which then share one again", async () => {
  const made = makePool();
  // What each address is must be known before they run beside each other.
  for (const name of ["sleep1", "sleep2"]) submit(name);
  expect(await outcome(submit("file"))).toMatch(/^Kby /);
  expect(await outcome(submit("quick-line1"))).toMatch(/^Kby /);
  expect(await outcome(submit("kill"))).toBe(crashed);
  await until(() => made.pending === 0);
  // Alone it kills twice more, and from then on runs as commands.
  expect(await outcome(submit("kill"))).toBe(crashed);
  expect(await outcome(submit("kill"))).toBe(crashed);
  expect(await outcome(submit("kill"))).toBe("Kas command");
  submit("sleep1");
  const beside = await outcome(submit("file"));
  expect(await outcome(submit("quick-line1"))).toBe(beside);
});

test("a silent worker is killed and its delivery answered Z", async () => {
  const made = makePool({ silenceMs: 60_000 });
  const delivery = submit("hang");
  await until(() => made.workerPids.length === 1);
  made.tick();
  expect(reports.size).toBe(0);
  // The fake one sends no heartbeat.
  await until(() => {
    clock += 61_000;
    made.tick();
    return reports.has(delivery);
  });
  expect(await outcome(delivery)).toBe(crashed);
});

test("who sets the time of day ends no delivery, and keeps none", async () => {
  const made = makePool({ silenceMs: 60_000 });
  const delivery = submit("hang");
  // One more says that it was heard of.
  expect(await outcome(submit("file"))).toMatch(/^Kby /);
  const today = Date.now();
  vi.spyOn(Date, "now").mockReturnValue(today + 180_000);
  made.tick();
  expect(reports.has(delivery)).toBe(false);
  vi.mocked(Date.now).mockRestore();
  clock += 61_000;
  made.tick();
  expect(await outcome(delivery)).toBe(crashed);
});

test("a delivery over the deadline costs its worker, which the worker's own limit prevents", async () => {
  const made = makePool({ silenceMs: 1e12, deadlineMs: 60_000 });
  const delivery = submit("hang");
  await until(() => {
    clock += 1000;
    made.tick();
    return reports.has(delivery);
  });
  expect(await outcome(delivery)).toBe(crashed);
  expect(workerLimits.deadlineMs).toBeGreaterThan(DELIVERY_SECONDS * 1000);
});

test("a report sent just before the worker ends is not lost", async () => {
  const made = makePool();
  for (let n = 0; n < 5; n++) {
    expect(await outcome(submit("exit-after-report"))).toBe("Kreported");
    await until(() => made.workerPids.length === 0);
  }
});

test("a uid that no worker can be started for is answered Z", async () => {
  makePool({}, "/no/such/node");
  expect(await outcome(submit("a"))).toBe(crashed);
});

test("a worker that says what it may not say is killed", async () => {
  makePool();
  expect(await outcome(submit("garbage"))).toBe(crashed);
});

test("deliveries of one uid share a worker, idle ones are told to leave", async () => {
  const made = makePool({ idleMs: 1000 });
  const first = await outcome(submit("a"));
  expect(await outcome(submit("b"))).toBe(first);
  expect(announced).toEqual([1]);
  clock += 2000;
  made.tick();
  await until(() => made.workerPids.length === 0);
});

test("when all places are taken an idle worker makes room for another uid", async () => {
  const made = makePool({ total: 1 });
  expect(await outcome(submit("a", 1))).toMatch(/^Kby /);
  expect(await outcome(submit("a", 2))).toMatch(/^Kby /);
  expect(await outcome(submit("a", 3))).toMatch(/^Kby /);
  expect(announced).toEqual([1, 2, 3]);
  expect(made.workerPids.length).toBeLessThanOrEqual(1);
});

test("200 uids are served under a cap of 6 workers, whatever the first ones have to do", async () => {
  const made = makePool({ total: 6, tenureMs: 0, perWorker: 1 });
  // These never run out of work: what is reported is handed in again.
  const busy = new Map<number, number>();
  const again = (uid: number) => busy.set(submit("a", uid), uid);
  for (let uid = 1; uid <= 6; uid++) for (let n = 0; n < 3; n++) again(uid);
  const cold = Array.from({ length: 200 }, (_, n) => submit("a", 1000 + n));
  let most = 0;
  await until(() => {
    clock = performance.now();
    most = Math.max(most, made.workerPids.length);
    for (const [delivery, uid] of busy)
      if (reports.has(delivery) && busy.delete(delivery)) again(uid);
    return cold.every((delivery) => reports.has(delivery));
  }, 100_000);
  made.stop();
  expect(most).toBeLessThanOrEqual(6);
  for (const delivery of cold) expect(reports.get(delivery)?.verdict).toBe("K");
}, 120_000);

test("program lines of many addresses share a worker of the uid, with files and beside lists", async () => {
  const made = makePool({ perWorker: 20 });
  for (let n = 0; n < 15; n++) submit(`sleep${n}`);
  for (let n = 0; n < 3; n++) submit("sleep0");
  const first = await outcome(submit("file"));
  expect(made.workerPids).toHaveLength(1);
  expect(await outcome(submit("file"))).toBe(first);
  expect(await outcome(submit("quick-program"))).toMatch(/^Kby /);
  expect(await outcome(submit("quick-program"))).not.toBe(first);
  expect(made.pending).toBe(18);
  made.stop();
});

test("program lines leave a quarter of all workers to others", async () => {
  const made = makePool({ total: 4 });
  expect(await outcome(submit("quick-line", 4))).toMatch(/^Kby /);
  for (let uid = 1; uid <= 3; uid++) {
    submit("sleep", uid);
    expect(await outcome(submit("file", uid))).toMatch(/^Kby /);
  }
  const waits = submit("quick-line", 4);
  expect(await outcome(submit("file", 5))).toMatch(/^Kby /);
  expect(await outcome(submit("file", 4))).toMatch(/^Kby /);
  expect(reports.has(waits)).toBe(false);
  made.stop();
});

test("lists never hold all workers", async () => {
  const made = makePool({ total: 4, perUid: 9 });
  submit("hang");
  // Its worker said what it is before it took this.
  expect(await outcome(submit("file"))).toMatch(/^Kby /);
  for (let n = 0; n < 6; n++) submit("hang");
  await until(() => made.workerPids.length >= 3);
  expect(await outcome(submit("file", 2))).toMatch(/^Kby /);
  expect(await outcome(submit("file", 3))).toMatch(/^Kby /);
  made.stop();
});

test("lists of one address leave a worker for those of another", async () => {
  const made = makePool({ perUid: 4 });
  submit("hang");
  // Its worker said what it is before it took this.
  expect(await outcome(submit("file"))).toMatch(/^Kby /);
  for (let sent = 1; sent < 9; sent++) submit("hang");
  await until(() => made.workerPids.length >= 2);
  expect(await outcome(submit("quick-program"))).toMatch(/^Kby /);
  expect(await outcome(submit("quick-program"))).toMatch(/^Kby /);
  expect(made.pending).toBe(9);
  made.stop();
});

test("lists leave one worker of the uid free", async () => {
  const made = makePool({ perUid: 2 });
  submit("hang");
  submit("hang");
  submit("hang");
  await until(() => made.workerPids.length >= 1);
  expect(await outcome(submit("file"))).toMatch(/^Kby /);
  expect(reports.size).toBe(1);
  expect(made.pending).toBe(3);
});
