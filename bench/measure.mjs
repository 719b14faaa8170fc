/** What is measured and how: percentiles, CPU and memory of a process tree, read from /proc. */
import { readdirSync, readFileSync } from "node:fs";

/** p50, p90, p99 and worst of some latencies, in the unit they are in; `count` says how many. */
export function percentiles(values) {
  const sorted = [...values].sort((a, b) => a - b);
  const at = (share) => sorted[Math.min(sorted.length - 1, Math.ceil(share * sorted.length) - 1)];
  return {
    count: sorted.length,
    p50: at(0.5),
    p90: at(0.9),
    p99: at(0.99),
    worst: sorted.at(-1),
  };
}

/** Loopback address number `n`; 1 is 127.0.0.1. */
export const sinkHost = (n) => `127.${n >> 16}.${(n >> 8) & 255}.${n & 255}`;

export const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

function read(path) {
  try {
    return readFileSync(path, "latin1");
  } catch {
    return undefined; // It ended while we looked.
  }
}

/** The name to show for a process: our entry files by name, everything else as the kernel calls it. */
function nameOf(pid, comm) {
  const line = read(`/proc/${pid}/cmdline`) ?? "";
  const entry = /([a-z-]+)\.entry\.c?js/.exec(line)?.[1];
  if (entry) return entry === "local-worker" ? "worker" : entry;
  return line.includes("qmail-start") ? "qmail-start" : comm;
}

/** The numbers behind the name in /proc/PID/stat: parent at 1, utime 11, stime 12, of ended children 13, 14. */
function stat(pid) {
  const text = read(`/proc/${pid}/stat`);
  const end = text?.lastIndexOf(")");
  return (
    text && { comm: text.slice(text.indexOf("(") + 1, end), fields: text.slice(end + 2).split(" ") }
  );
}

/** CPU seconds of all threads of a process, to the nanosecond; a tick of /proc/PID/stat is 10 ms. */
function cpuSeconds(pid) {
  let threads = [];
  try {
    threads = readdirSync(`/proc/${pid}/task`);
  } catch {
    return 0;
  }
  return threads.reduce((sum, thread) => {
    const spent = read(`/proc/${pid}/task/${thread}/schedstat`);
    return sum + (spent ? Number(spent.split(" ")[0]) / 1e9 : 0);
  }, 0);
}

const statusMegabytes = (pid, field) => {
  const match = new RegExp(`${field}:\\s+(\\d+)`).exec(read(`/proc/${pid}/status`) ?? "");
  return match ? Number(match[1]) / 1024 : 0;
};

/** A process and all below it. Processes of one name count together. */
export class ProcessTree {
  constructor(root) {
    this.root = root;
    /** Most memory of each name, in MB, since `watch()`. */
    this.peak = {};
    /** Most processes of each name that were seen at once. */
    this.most = {};
  }

  /** [{pid, name}] of what runs now. */
  members() {
    const all = new Map();
    for (const pid of readdirSync("/proc").filter((name) => /^\d+$/.test(name))) {
      const found = stat(pid);
      if (found) all.set(Number(pid), { comm: found.comm, parent: Number(found.fields[1]) });
    }
    const inside = (pid) =>
      pid === this.root || (all.has(pid) && pid > 1 && inside(all.get(pid).parent));
    return [...all]
      .filter(([pid]) => inside(pid))
      .map(([pid, { comm }]) => ({ pid, name: nameOf(pid, comm) }));
  }

  pid(name) {
    return this.members().find((member) => member.name === name)?.pid;
  }

  /** CPU seconds by name so far; `ended ones` is what processes below used that are gone. */
  cpu() {
    const used = { "ended ones": 0 };
    for (const { pid, name } of this.members()) {
      used[name] = (used[name] ?? 0) + cpuSeconds(pid);
      const fields = stat(pid)?.fields;
      if (fields) used["ended ones"] += (Number(fields[13]) + Number(fields[14])) / 100;
    }
    return used;
  }

  /** The same split as the kernel does: { name: { user, system } }, to a tick of 10 ms. */
  cpuSplit() {
    const used = {};
    for (const { pid, name } of this.members()) {
      const fields = stat(pid)?.fields;
      if (!fields) continue;
      const { user, system } = used[name] ?? { user: 0, system: 0 };
      used[name] = { user: user + fields[11] / 100, system: system + fields[12] / 100 };
    }
    return used;
  }

  /** Resident memory by name now, in MB. */
  memory() {
    const sizes = {};
    const counts = {};
    for (const { pid, name } of this.members()) {
      sizes[name] = (sizes[name] ?? 0) + statusMegabytes(pid, "VmRSS");
      counts[name] = (counts[name] ?? 0) + 1;
    }
    for (const [name, count] of Object.entries(counts))
      this.most[name] = Math.max(this.most[name] ?? 0, count);
    return sizes;
  }

  /** Note the peaks until the function that is returned is called. */
  watch(everyMs = 100) {
    this.peak = {};
    this.most = {};
    const look = () => {
      for (const [name, size] of Object.entries(this.memory()))
        this.peak[name] = Math.max(this.peak[name] ?? 0, size);
    };
    look();
    const timer = setInterval(look, everyMs);
    return () => {
      clearInterval(timer);
      look();
      return this.peak;
    };
  }

  /**
   * Run `work` and say what it cost: { seconds, cpu: µs of each name for one of `units`, memory: peaks
   * in MB, result }. `settle` ms are waited for what still runs; they belong to the price, not to the time.
   */
  async price(units, work, settle = 0) {
    const before = this.cpu();
    const unwatch = this.watch();
    const began = performance.now();
    const result = await work();
    const seconds = (performance.now() - began) / 1000;
    if (settle > 0) await sleep(settle);
    const memory = unwatch();
    const cpu = {};
    for (const [name, spent] of Object.entries(this.cpu()))
      cpu[name] = ((spent - (before[name] ?? 0)) * 1e6) / units;
    return { seconds, cpu, memory, result };
  }
}

export const total = (byName) => Object.values(byName).reduce((sum, value) => sum + value, 0);
