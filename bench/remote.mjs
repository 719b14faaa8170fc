/**
 * Sending to other hosts in other ways than plain VERP fan-out: per-copy header fields, TLS, a new
 * connection for each delivery, many recipients per transaction. Each part takes
 * (report, Site, startSink), so that run.mjs can call it; alone:
 *
 *   node bench/remote.mjs [prefix] [tls] [reconnect] [shared]
 */
import { spawnSync } from "node:child_process";
import { writeFileSync } from "node:fs";
import { createConnection } from "node:net";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { startOwnSink } from "./sink.mjs";
import { cpuSeconds, processes, root, Site, startSink } from "./site.mjs";

const line = "The quick brown fox jumps over the lazy dog, line after line.\r\n";
const body = line.repeat(29);

/** Hand one message in over SMTP; resolves with the time of the 250 after the final dot. */
export function post(port, sender, recipients) {
  const head = `From: <${sender}>\r\nTo: <${recipients[0]}>\r\nSubject: bench\r\nMessage-ID: <${performance.now()}@bench.test>\r\n`;
  const commands = [
    "EHLO bench.test",
    `MAIL FROM:<${sender}>`,
    recipients.map((address) => `RCPT TO:<${address}>`).join("\r\n"),
    "DATA",
    `${head}\r\n${body}.`,
  ];
  const wanted = [1, 1, 1, recipients.length, 1, 1];
  return new Promise((resolve, reject) => {
    const socket = createConnection({ port, host: "127.0.0.1", noDelay: true });
    let step = 0;
    let replies = 0;
    let rest = "";
    socket.on("error", reject);
    socket.on("data", (chunk) => {
      const lines = (rest + chunk).split("\r\n");
      rest = lines.pop();
      for (const text of lines) {
        if (/^[45]/.test(text)) reject(new Error(text));
        if (!/^\d{3} /.test(text) || ++replies < wanted[step]) continue;
        replies = 0;
        if (step === commands.length) {
          resolve(performance.now());
          socket.end("QUIT\r\n");
          return;
        }
        socket.write(`${commands[step++]}\r\n`);
      }
    });
  });
}

function cpuOf(pids) {
  return Object.fromEntries(
    Object.entries(pids).map(([name, pid]) => {
      try {
        return [name, cpuSeconds(pid)];
      } catch {
        return [name, 0];
      }
    }),
  );
}

/** Run `send` (resolves with the time of the 250) until `count` deliveries are in the log. */
async function measure(site, sink, count, send) {
  const pids = { ...processes(site.child.pid), sink: sink.pid };
  const before = cpuOf(pids);
  const done = site.occurrences(": success: 127.0.0.1_accepted", count);
  const injected = await send();
  const { first, last } = await done;
  await new Promise((resolve) => setTimeout(resolve, 300));
  const after = cpuOf(pids);
  const each = (name) => ((after[name] - before[name]) * 1e6) / count;
  const ours = Object.keys(pids).filter((name) => name !== "sink");
  return {
    rate: Math.round((count * 1000) / (last - injected)),
    cpu: ours.reduce((sum, name) => sum + each(name), 0),
    shares: [...ours, "sink"]
      .filter((name) => each(name) >= 0.5)
      .map((name) => `${name} ${each(name).toFixed(1)}`)
      .join(", "),
    firstMs: Math.round(first - injected),
  };
}

function tell(report, name, { rate, cpu, shares, firstMs }) {
  report(`${name}, deliveries/s`, rate, "/s");
  report(`  CPU per delivery, ${name}`, Number(cpu.toFixed(1)), "us", shares);
  report(`  first recipient after injection, ${name}`, firstMs, "ms");
}

/** A post to `subscribers` people at 500 domains behind one relay; the second one counts. */
async function listPost(report, SiteClass, sink, name, subscribers, files = {}, control = {}) {
  const site = new SiteClass({ smtproutes: `:127.0.0.1:${sink.port}`, ...control });
  try {
    const list = join(site.lists, "big");
    const made = site.command("ezmlm-make", [
      ...[list, join(site.lists, ".qmail-big"), "big", "bench.test"],
    ]);
    if (made.status !== 0) throw new Error(String(made.stderr));
    for (const [file, text] of Object.entries(files)) writeFileSync(join(list, file), text);
    const input = Array.from(
      { length: subscribers },
      (_, n) => `member${n}@site${n % 500}.example\n`,
    ).join("");
    const added = site.command("ezmlm-sub", [list], { input, maxBuffer: 1 << 28 });
    if (added.status !== 0) throw new Error(String(added.stderr));
    await site.start();
    const send = () => post(site.port, "ann@elsewhere.example", ["big@bench.test"]);
    let best;
    for (let run = 0; run < 4; run++) {
      const result = await measure(site, sink, subscribers, send);
      if (run > 0 && (!best || result.cpu < best.cpu)) best = result;
    }
    tell(report, name, best);
  } finally {
    await site.stop();
    sink.stop();
  }
}

export async function plain(report, SiteClass, sinkStarter, count = 10_000) {
  await listPost(report, SiteClass, await sinkStarter(), `plain, ${count} subscribers`, count);
}

export async function prefix(report, SiteClass, sinkStarter, count = 10_000) {
  const sink = await sinkStarter();
  const files = { unsubscribelink: "https://lists.bench.test/u/\n" };
  await listPost(report, SiteClass, sink, `per-copy header, ${count} subscribers`, count, files);
}

export async function tls(report, SiteClass, _sinkStarter, count = 10_000) {
  const sink = await startOwnSink(["--tls"]);
  await listPost(report, SiteClass, sink, `TLS, ${count} subscribers`, count);
}

export async function reconnect(report, SiteClass, _sinkStarter, count = 10_000) {
  const sink = await startOwnSink(["--messages", "1"]);
  await listPost(report, SiteClass, sink, `a connection per delivery, ${count}`, count);
}

/** Ordinary mail, the same copy for everybody: recipients share transactions. */
export async function shared(report, SiteClass, sinkStarter, count = 100_000) {
  const sink = await sinkStarter();
  const site = new SiteClass({ smtproutes: `:127.0.0.1:${sink.port}` });
  try {
    await site.start();
    const members = Array.from({ length: count }, (_, n) => `member${n}@site${n % 500}.example`);
    const envelope = Buffer.from(
      `Fann@bench.test\0${members.map((address) => `T${address}\0`).join("")}\0`,
    );
    writeFileSync(join(site.base, "message"), body.replaceAll("\r", ""));
    writeFileSync(join(site.base, "envelope"), envelope);
    const send = async () => {
      const script = `exec "$0" <"$1/message" 1<"$1/envelope"`;
      const command = join(root, "bin", "qmail-queue");
      const run = spawnSync("sh", ["-c", script, command, site.base], { env: site.env });
      if (run.status !== 0) throw new Error(`qmail-queue: ${run.status} ${run.stderr}`);
      return performance.now();
    };
    let best;
    for (let run = 0; run < 3; run++) {
      const result = await measure(site, sink, count, send);
      if (run > 0 && (!best || result.rate > best.rate)) best = result;
    }
    tell(report, `shared transactions, ${count} recipients`, best);
  } finally {
    await site.stop();
    sink.stop();
  }
}

const parts = { plain, prefix, tls, reconnect, shared };

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const report = (figure, value, unit, note = "") =>
    console.log(`${figure.padEnd(60)} ${String(value).padStart(9)} ${unit} ${note}`);
  const [, , ...words] = process.argv;
  const count = words.map(Number).find((n) => n > 0);
  const wanted = words.filter((word) => parts[word]);
  for (const name of wanted.length > 0 ? wanted : Object.keys(parts)) {
    await parts[name](report, Site, startSink, count);
  }
}
