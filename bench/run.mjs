/**
 * npm run bench: the figures of one machine in one run. Everything durable, the sink and the
 * generator included in the box's load. `node bench/run.mjs fanout intake …` runs only those parts.
 * Results are appended to bench/results/history.jsonl so that a slow-down is seen.
 */
import { spawn, spawnSync } from "node:child_process";
import { appendFileSync, existsSync, mkdirSync, readdirSync, readFileSync } from "node:fs";
import { createConnection } from "node:net";
import { cpus } from "node:os";
import { join } from "node:path";
import {
  cpuSeconds,
  memoryMegabytes,
  postfixTool,
  processes,
  root,
  Site,
  startSink,
} from "./site.mjs";

const rows = [];
/** For scale: notqmail 1.09 with ezmlm-idx on a 2-core machine of the same kind. */
const peers = {
  "fan-out deliveries/s": 430,
  "intake, new connection each, messages/s": 565,
  "intake to Maildir, messages/s": 415,
};

function report(figure, value, unit, note = "") {
  rows.push({ figure, value, unit, note });
  const peer = peers[figure];
  const ratio = peer ? `  (${(value / peer).toFixed(1)} x notqmail)` : "";
  console.log(`${figure.padEnd(52)} ${String(value).padStart(10)} ${unit}${ratio} ${note}`);
}

const body = Buffer.alloc(
  2048 - 250,
  "The quick brown fox jumps over the lazy dog, line after line.\r\n",
).toString();

/** Hand one message in over SMTP; resolves with the time of the 250 after the final dot. */
function post(port, sender, recipient, text = body) {
  const message = `From: <${sender}>\r\nTo: <${recipient}>\r\nSubject: bench\r\nMessage-ID: <${Date.now()}.${Math.random()}@bench.test>\r\nDate: 21 Nov 2026 00:00:00 -0000\r\n\r\n${text}\r\n`;
  const lines = [
    "EHLO bench.test",
    `MAIL FROM:<${sender}>`,
    `RCPT TO:<${recipient}>`,
    "DATA",
    `${message}.`,
    "QUIT",
  ];
  return new Promise((resolve, reject) => {
    const socket = createConnection(port, "127.0.0.1");
    let step = 0;
    let accepted = 0;
    let pending = "";
    socket.setNoDelay(true);
    socket.on("error", reject);
    socket.on("close", () =>
      accepted ? resolve(accepted) : reject(new Error(`refused: ${pending}`)),
    );
    socket.on("data", (chunk) => {
      pending += chunk;
      if (!/^\d{3} .*\r\n$/m.test(pending)) return;
      if (step === 5) accepted = pending.startsWith("250") ? performance.now() : 0;
      pending = step === 5 && !accepted ? pending : "";
      if (step < lines.length) socket.write(`${lines[step++]}\r\n`);
    });
  });
}

function cpuOf(pids) {
  return Object.fromEntries(
    Object.entries(pids).map(([name, pid]) => [name, safe(() => cpuSeconds(pid)) ?? 0]),
  );
}
/** What each process spent on one of `count`. */
function cpuEach(before, after, count) {
  const each = Object.keys(after).map(
    (name) =>
      `${name.replace(/ \d+/, "")} ${Math.round(((after[name] - before[name]) * 1e6) / count)}`,
  );
  return `CPU us each: ${each.join(", ")}`;
}
function safe(read) {
  try {
    return read();
  } catch {
    return undefined;
  }
}

/** One post to the list `big`: how fast all have it, and what that cost. */
async function measurePost(site, subscribers) {
  const pids = processes(site.child.pid);
  const before = cpuOf(pids);
  const peak = {};
  const sample = setInterval(() => {
    for (const [name, pid] of Object.entries(pids)) {
      peak[name] = Math.max(peak[name] ?? 0, safe(() => memoryMegabytes(pid)) ?? 0);
    }
  }, 50);
  const done = site.occurrences(": success: 127.0.0.1_accepted", subscribers);
  const injected = await post(site.port, "ann@elsewhere.example", "big@bench.test");
  const { first, last } = await done;
  clearInterval(sample);
  // The last marks are still on their way; they belong to the price.
  await new Promise((resolve) => setTimeout(resolve, 300));
  const after = cpuOf(pids);
  const used = Object.entries(after).map(([name, cpu]) => [
    name,
    ((cpu - before[name]) * 1e6) / subscribers,
  ]);
  const seconds = (last - injected) / 1000;
  return {
    seconds,
    rate: Math.round(subscribers / seconds),
    cpu: Math.round(used.reduce((sum, [, cpu]) => sum + cpu, 0)),
    shares: used
      .filter(([, cpu]) => cpu >= 1)
      .map(([name, cpu]) => `${name} ${Math.round(cpu)}`)
      .join(", "),
    firstMs: Math.round(first - injected),
    peak,
  };
}

async function fanOut(subscribers, control, label) {
  const sink = await startSink();
  const site = new Site({ smtproutes: `:127.0.0.1:${sink.port}`, ...control });
  try {
    const list = join(site.lists, "big");
    const made = site.command(
      "ezmlm-make",
      [list, join(site.lists, ".qmail-big"), "big", "bench.test"],
      { encoding: "utf8" },
    );
    if (made.status !== 0) throw new Error(made.stderr);
    site.command("ezmlm-make", [
      join(site.lists, "warm"),
      join(site.lists, ".qmail-warm"),
      "warm",
      "bench.test",
    ]);
    site.command("ezmlm-sub", [join(site.lists, "warm"), "one@site0.example"]);
    const input = Array.from(
      { length: subscribers },
      (_, n) => `member${n}@site${n % 500}.example\n`,
    ).join("");
    const began = performance.now();
    const added = site.command("ezmlm-sub", [list], { input, maxBuffer: 1 << 28 });
    if (added.status !== 0) throw new Error(String(added.stderr));
    if (label === "")
      report(`ezmlm-sub, ${subscribers} from a file`, Math.round(performance.now() - began), "ms");
    await site.start();
    // A post to a list of one warms up: started processes, loaded code, an open connection.
    const warm = site.until((line) => line.includes(": success: 127.0.0.1_accepted"));
    await post(site.port, "ann@elsewhere.example", "warm@bench.test");
    await warm;
    await new Promise((resolve) => setTimeout(resolve, 500));
    const name = `${subscribers} subscribers${label}`;
    // The first big post finds code that was never run before; a server that has been up for a while
    // does as the second one does.
    const cold = await measurePost(site, subscribers);
    report(`fan-out deliveries/s, first post after start, ${name}`, cold.rate, "/s");
    const warmed = await measurePost(site, subscribers);
    const figure =
      subscribers === 10_000 ? "fan-out deliveries/s" : `fan-out deliveries/s, ${name}`;
    report(figure, warmed.rate, "/s", `${warmed.seconds.toFixed(2)} s for ${name}`);
    report(`  CPU per delivery, ${name}`, warmed.cpu, "us", warmed.shares);
    report(`  first recipient after injection, ${name}`, warmed.firstMs, "ms");
    const each = Object.entries(warmed.peak);
    report(
      `  memory while in flight, all processes, ${name}`,
      each.reduce((sum, [, size]) => sum + size, 0),
      "MB",
      each.map(([process, size]) => `${process} ${size}`).join(", "),
    );
  } finally {
    await site.stop();
    sink.stop();
  }
}

/** Run smtp-source; the log of the server is read meanwhile. */
function generate(source, options, port) {
  const args = [
    ...options,
    "-f",
    "ann@elsewhere.example",
    "-t",
    "box@local.test",
    `127.0.0.1:${port}`,
  ];
  const child = spawn(source.path, args, {
    env: source.env,
    stdio: ["ignore", "ignore", "inherit"],
  });
  return new Promise((resolve, reject) => {
    child.once("exit", (code) =>
      code === 0 ? resolve() : reject(new Error(`smtp-source: exit ${code}`)),
    );
  });
}

async function intake() {
  const source = postfixTool("smtp-source");
  if (!source) throw new Error("smtp-source not found: set POSTFIX_BIN");
  for (const [figure, options] of [
    ["intake, new connection each, messages/s", ["-s", "20", "-m", "2000", "-l", "2048"]],
    ["intake, connections reused, messages/s", ["-d", "-s", "20", "-m", "4000", "-l", "2048"]],
  ]) {
    // Deliveries are held, so that the figure is that of durable queueing alone.
    const site = new Site({ concurrencylocal: "0", concurrencyremote: "0" });
    try {
      await site.start();
      const run = (count) =>
        generate(
          source,
          [...options.map((word) => (/^\d000$/.test(word) ? String(count) : word))],
          site.port,
        );
      await run(1000);
      const count = Number(options.find((word) => /^\d000$/.test(word)));
      const pids = processes(site.child.pid);
      const before = cpuOf(pids);
      const began = performance.now();
      await run(count);
      const seconds = (performance.now() - began) / 1000;
      const after = cpuOf(pids);
      report(figure, Math.round(count / seconds), "/s", cpuEach(before, after, count));
    } finally {
      await site.stop();
    }
  }
}

async function maildir() {
  const source = postfixTool("smtp-source");
  const site = new Site({ concurrencylocal: "100" });
  try {
    await site.start();
    await post(site.port, "ann@elsewhere.example", "warm@local.test");
    await new Promise((resolve) => setTimeout(resolve, 1500));
    const count = 3000;
    const pids = processes(site.child.pid);
    const before = cpuOf(pids);
    const done = site.occurrences(": success: did_1+0+0", count);
    const began = performance.now();
    await Promise.all([
      done,
      generate(source, ["-s", "20", "-m", String(count), "-l", "2048"], site.port),
    ]);
    const seconds = (performance.now() - began) / 1000;
    const cpu = cpuEach(before, cpuOf(pids), count);
    const files = readdirSync(join(site.mail, "Maildir", "new")).length;
    if (files !== count + 1)
      throw new Error(`${files} files in the Maildir, expected ${count + 1}`);
    report("intake to Maildir, messages/s", Math.round(count / seconds), "/s", cpu);
  } finally {
    await site.stop();
  }
}

async function commands() {
  const site = new Site();
  try {
    await site.start();
    const times = [];
    for (let n = 0; n < 12; n++) {
      const began = performance.now();
      const run = site.command("qmail-inject", ["-f", "ann@bench.test", "box@local.test"], {
        input: "Subject: hi\n\nhello\n",
      });
      if (run.status !== 0) throw new Error(String(run.stderr));
      times.push(performance.now() - began);
    }
    times.sort((a, b) => a - b);
    report("qmail-inject, start to durable (median)", Math.round(times[6]), "ms");
    const bare = [];
    for (let n = 0; n < 7; n++) {
      const began = performance.now();
      spawnSync("node", ["-e", "0"]);
      bare.push(performance.now() - began);
    }
    report("  of that, node itself (node -e 0)", Math.round(bare.sort((a, b) => a - b)[3]), "ms");
    const pids = processes(site.child.pid);
    for (const [name, pid] of Object.entries(pids))
      report(`memory idle, ${name.replace(/ \d+/, "")}`, memoryMegabytes(pid), "MB");
  } finally {
    await site.stop();
  }
}

const parts = {
  commands,
  intake,
  maildir,
  fanout1000: () => fanOut(1000, {}, ", default concurrency 20"),
  fanout: () => fanOut(10_000, {}, ""),
  fanout100k: () => fanOut(100_000, {}, ""),
};

if (!existsSync(join(root, "dist", "main.js"))) throw new Error("build first: npm run build");
const wanted = process.argv.slice(2);
console.log(`${cpus().length} x ${cpus()[0]?.model}, node ${process.version}\n`);
let failed = false;
for (const [name, run] of Object.entries(parts)) {
  if (wanted.length > 0 && !wanted.includes(name)) continue;
  try {
    await run();
  } catch (error) {
    failed = true;
    console.log(`${name}: ${error.stack}`);
  }
}
const results = join(root, "bench", "results");
mkdirSync(results, { recursive: true });
const history = join(results, "history.jsonl");
const last = existsSync(history)
  ? readFileSync(history, "utf8").trim().split("\n").at(-1)
  : undefined;
if (last) {
  for (const old of JSON.parse(last).rows) {
    const now = rows.find((row) => row.figure === old.figure && row.unit === "/s");
    if (now && now.value < old.value * 0.8)
      console.log(`slower than last time: ${now.figure}: ${old.value} -> ${now.value}`);
  }
}
appendFileSync(history, `${JSON.stringify({ when: new Date().toISOString(), rows })}\n`);
process.exitCode = failed ? 1 : 0;
