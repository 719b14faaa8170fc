/** The two ends of a measurement: who hands mail in, who takes it. */
import { fork, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { createConnection, createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { sleep } from "./measure.mjs";

/** Milliseconds of the monotonic clock, which all processes share. */
export const clock = () => Number(process.hrtime.bigint()) / 1e6;

/** A port nobody listens on right now. */
export async function freePort() {
  const server = createServer();
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address();
  await new Promise((resolve) => server.close(resolve));
  return port;
}

/** Where Debian's smtp-source and smtp-sink are: POSTFIX_BIN, an unpacked package, or installed. */
export function postfixTool(name) {
  const places = [process.env.POSTFIX_BIN, "/usr/sbin", "/tmp/postfix/usr/sbin"].filter(Boolean);
  for (const place of places) {
    const path = join(place, name);
    if (!existsSync(path)) continue;
    const libraries = join(place, "..", "lib", "postfix");
    return { path, env: { ...process.env, LD_LIBRARY_PATH: libraries } };
  }
  throw new Error(`${name} not found: install Debian's postfix, or unpack it and set POSTFIX_BIN`);
}

/** smtp-sink on a free port; `stop()` ends it. */
export async function startSink(options = []) {
  const tool = postfixTool("smtp-sink");
  const port = await freePort();
  const user = process.getuid() === 0 ? ["-u", "nobody"] : [];
  const child = spawn(tool.path, [...user, "-m", "2000", ...options, `127.0.0.1:${port}`, "1024"], {
    env: tool.env,
    stdio: ["ignore", "ignore", "inherit"],
  });
  await reachable(port);
  return { port, pid: child.pid, stop: () => child.kill("SIGTERM") };
}

/** Wait until somebody listens. */
export async function reachable(port, limitMs = 15_000) {
  for (const until = clock() + limitMs; ; ) {
    const socket = createConnection(port, "127.0.0.1");
    const open = await new Promise((resolve) => {
      socket.once("connect", () => resolve(true));
      socket.once("error", () => resolve(false));
    });
    socket.destroy();
    if (open) return;
    if (clock() > until) throw new Error(`nobody listens on port ${port}`);
    await sleep(20);
  }
}

/** The sink of sink.mjs in a process of its own. `arrivals` holds what is watched: { at, recipient }. */
export async function startNodeSink(options = {}) {
  const port = await freePort();
  const child = fork(new URL("./sink.mjs", import.meta.url), [
    String(port),
    JSON.stringify(options),
  ]);
  await once(child, "message");
  const sink = { port, pid: child.pid, arrivals: [], stop: () => child.kill("SIGTERM") };
  const waiting = new Set();
  child.on("message", (message) => {
    if (message.recipient) sink.arrivals.push(message);
    for (const look of waiting) look(message);
  });
  const told = (found) =>
    new Promise((resolve) => {
      const look = (message) => {
        const value = found(message);
        if (value === undefined) return;
        waiting.delete(look);
        resolve(value);
      };
      waiting.add(look);
    });
  /** Time of the next message that is taken. */
  sink.next = () => {
    child.send("mark");
    return told(({ first }) => first);
  };
  sink.taken = () => {
    child.send("count");
    return told(({ taken }) => taken);
  };
  /** Resolves when `count` watched messages have arrived. */
  sink.arrived = async (count) => {
    while (sink.arrivals.length < count) await told(({ recipient }) => recipient);
  };
  return sink;
}

/** A key and a certificate nobody trusts: what a sink that offers TLS has. */
export function selfSigned() {
  const dir = mkdtempSync(join(tmpdir(), "bench-tls-"));
  try {
    const [key, cert] = [join(dir, "key"), join(dir, "cert")];
    const made = spawnSync("openssl", [
      ...["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"],
      ...["-subj", "/CN=sink.test", "-days", "2", "-keyout", key, "-out", cert],
    ]);
    if (made.status !== 0) throw new Error(`openssl: ${made.stderr}`);
    return { key: readFileSync(key, "utf8"), cert: readFileSync(cert, "utf8") };
  } finally {
    rmSync(dir, { recursive: true });
  }
}

/** A message of about that many bytes. */
export function mailText(sender, recipient, size = 2048) {
  const line = "The quick brown fox jumps over the lazy dog, line after line.\r\n";
  const head = `From: <${sender}>\r\nTo: <${recipient}>\r\nSubject: bench\r\nMessage-ID: <${Date.now()}.${Math.random()}@bench.test>\r\nDate: 21 Nov 2026 00:00:00 -0000\r\n\r\n`;
  return head + line.repeat(Math.max(1, Math.ceil((size - head.length) / line.length)));
}

/** One connection that hands messages in, pipelining the envelope as smtp-source does not. */
export class Sender {
  constructor(port) {
    this.port = port;
    this.replies = [];
    this.waiting = [];
  }

  async open() {
    this.socket = createConnection(this.port, "127.0.0.1");
    this.socket.setNoDelay(true);
    let rest = "";
    this.socket.on("data", (chunk) => {
      rest += chunk.latin1Slice();
      for (let at = rest.indexOf("\r\n"); at >= 0; at = rest.indexOf("\r\n")) {
        const line = rest.slice(0, at);
        rest = rest.slice(at + 2);
        if (line[3] === "-") continue;
        const next = this.waiting.shift();
        next ? next.resolve(line) : this.replies.push(line);
      }
    });
    const lost = (error) => {
      for (const { reject } of this.waiting.splice(0))
        reject(error instanceof Error ? error : new Error("connection closed"));
    };
    this.socket.on("error", lost);
    this.socket.on("close", lost);
    await this.expect("220");
    this.socket.write("EHLO bench.test\r\n");
    await this.expect("250");
    return this;
  }

  async expect(code) {
    const line =
      this.replies.shift() ??
      (await new Promise((resolve, reject) => this.waiting.push({ resolve, reject })));
    if (!line.startsWith(code)) throw new Error(`wanted ${code}: ${line}`);
    return line;
  }

  /** Resolves with { at, ms }: the time of the 250, and how long after the final dot it came. */
  async send(sender, recipients, text, parameters = "") {
    const rcpt = recipients.map((address) => `RCPT TO:<${address}>\r\n`).join("");
    this.socket.write(`MAIL FROM:<${sender}>${parameters}\r\n${rcpt}DATA\r\n`);
    await this.expect("250");
    for (let n = 0; n < recipients.length; n++) await this.expect("250");
    await this.expect("354");
    const dot = clock();
    this.socket.write(`${text}.\r\n`);
    await this.expect("250");
    const at = clock();
    return { at, ms: at - dot };
  }

  close() {
    this.socket.end("QUIT\r\n");
  }
}

/** Hand one message in on a connection of its own; resolves as Sender.send does. */
export async function post(port, sender, recipient, size = 2048) {
  const connection = await new Sender(port).open();
  try {
    return await connection.send(sender, [recipient], mailText(sender, recipient, size));
  } finally {
    connection.close();
  }
}

/** smtp-source: `count` messages of 2 KB over 20 connections at a time, `reuse` keeps them open. */
export function generate(
  port,
  count,
  { reuse = false, to = "box@local.test", sessions = 20 } = {},
) {
  const tool = postfixTool("smtp-source");
  const child = spawn(
    tool.path,
    [
      ...(reuse ? ["-d"] : []),
      ...["-s", String(Math.min(sessions, count)), "-m", String(count), "-l", "2048"],
      ...["-f", "ann@elsewhere.example", "-t", to, `127.0.0.1:${port}`],
    ],
    { env: tool.env, stdio: ["ignore", "ignore", "inherit"] },
  );
  return new Promise((resolve, reject) => {
    child.once("exit", (code) =>
      code === 0 ? resolve() : reject(new Error(`smtp-source: exit ${code}`)),
    );
  });
}

/**
 * The same from a client that pipelines, as servers do among each other: our remote engine, connections
 * kept open. Resolves with messages/s; a start of its own before them warms both sides up.
 */
export function pipeline(port, count, warmUp, { to = "box@local.test", sessions = 20 } = {}) {
  const path = fileURLToPath(new URL("./smtp-client.mjs", import.meta.url));
  const child = spawn(
    process.execPath,
    [
      ...[path, "--port", String(port), "--to", to, "--deliveries", String(count)],
      ...["--warm-up", String(warmUp), "--slots", String(sessions)],
      ...["--slot", String(Math.min(100, Math.ceil(warmUp / sessions)))],
    ],
    { stdio: ["ignore", "pipe", "inherit"] },
  );
  let output = "";
  child.stdout.on("data", (chunk) => {
    output += chunk;
  });
  return new Promise((resolve, reject) => {
    child.once("close", (code) => {
      const rate = /^(\d+) deliveries\/s.* 0 failed/m.exec(output)?.[1];
      if (code === 0 && rate) resolve(Number(rate));
      else reject(new Error(`smtp-client.mjs: exit ${code}\n${output}`));
    });
  });
}
