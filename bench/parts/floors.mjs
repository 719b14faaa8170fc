import { spawn, spawnSync } from "node:child_process";
import { closeSync, fsyncSync, mkdtempSync, openSync, rmSync, writeSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { ProcessTree, percentiles } from "../measure.mjs";
import { generate, postfixTool } from "../smtp.mjs";

export const what =
  "what the machine itself takes: fsync, node, the generator, a server that does nothing";

/** An SMTP server in 20 lines that keeps nothing: no server on `net` can be faster. */
const idleServer = `
  const end = Buffer.from("\\r\\n.\\r\\n");
  require("node:net").createServer((socket) => {
    let inData = false;
    let tail = Buffer.alloc(0);
    socket.setNoDelay(true);
    socket.on("error", () => {});
    socket.on("data", (chunk) => {
      if (inData) {
        tail = tail.length ? Buffer.concat([tail, chunk]) : chunk;
        if (tail.indexOf(end) < 0) return void (tail = tail.subarray(-4));
        tail = Buffer.alloc(0);
        inData = false;
        return socket.write("250 ok\\r\\n");
      }
      const verb = chunk.latin1Slice(0, 4);
      inData = verb === "DATA";
      if (verb === "QUIT") return socket.end("221 bye\\r\\n");
      socket.write(inData ? "354 go\\r\\n" : "250 ok\\r\\n");
    });
    socket.write("220 nothing\\r\\n");
  }).listen(0, "127.0.0.1", function () { console.log(this.address().port); });`;

/** The same on the handles below `net`, which qmail-smtpd uses, too (src/lib/tcp-handle.ts). */
const handleServer = `
  const { TCP, constants } = process.binding("tcp_wrap");
  const { WriteWrap, streamBaseState, kReadBytesOrError } = process.binding("stream_wrap");
  const bytes = Buffer.allocUnsafeSlow(65536);
  const say = (handle, text) => void handle.writeLatin1String(new WriteWrap(), text);
  function onread() {
    const size = streamBaseState[kReadBytesOrError];
    if (size < 0) return this.close();
    if (this.inData) {
      if (bytes.latin1Slice(size - 5, size) !== "\\r\\n.\\r\\n") return;
      this.inData = false;
      return say(this, "250 ok\\r\\n");
    }
    const verb = bytes.latin1Slice(0, 4);
    this.inData = verb === "DATA";
    say(this, verb === "QUIT" ? "221 bye\\r\\n" : this.inData ? "354 go\\r\\n" : "250 ok\\r\\n");
    if (verb === "QUIT") this.close();
  }
  const server = new TCP(constants.SERVER);
  server.onconnection = (error, handle) => {
    handle.inData = false;
    handle.onread = onread;
    handle.setNoDelay(true);
    handle.useUserBuffer(bytes);
    handle.readStart();
    say(handle, "220 nothing\\r\\n");
  };
  server.bind("127.0.0.1", 0);
  server.listen(511);
  const name = {};
  server.getsockname(name);
  console.log(name.port);`;

export async function run(rig) {
  const { report } = rig;
  const starts = [];
  for (let n = 0; n < rig.size(15, 2); n++) {
    const began = performance.now();
    spawnSync("node", ["-e", "0"]);
    starts.push(performance.now() - began);
  }
  report.add({ figure: "floor: node -e 0", unit: "ms", latency: percentiles(starts) });

  const dir = mkdtempSync(join(tmpdir(), "bench-fsync-"));
  const fd = openSync(join(dir, "file"), "w");
  const page = Buffer.alloc(4096, 1);
  const syncs = [];
  for (let n = 0; n < rig.size(500, 10); n++) {
    writeSync(fd, page);
    const began = performance.now();
    fsyncSync(fd);
    syncs.push(performance.now() - began);
  }
  closeSync(fd);
  rmSync(dir, { recursive: true });
  report.add({ figure: "floor: fsync of 4 KB appended", unit: "ms", latency: percentiles(syncs) });

  const kinds = [
    ["new connection each", false, rig.size(4000)],
    ["connections reused", true, rig.size(20_000)],
  ];
  await rig.withSink(async (sink) => {
    for (const [kind, reuse, count] of kinds)
      await serve(rig, `floor: smtp-source to smtp-sink, ${kind}`, sink, count, reuse);
  });
  const servers = [
    ["a Node server that does nothing", idleServer],
    ["the same on handles below net", handleServer],
  ];
  for (const [name, script] of servers) {
    const child = spawn("node", ["-e", script], { stdio: ["ignore", "pipe", "inherit"] });
    const port = Number(await new Promise((resolve) => child.stdout.once("data", resolve)));
    for (const [kind, reuse, count] of kinds)
      await serve(rig, `floor: ${name}, ${kind}`, { port, pid: child.pid }, count, reuse);
    child.kill();
  }
}

async function serve({ report }, figure, { port, pid }, count, reuse) {
  postfixTool("smtp-source");
  await generate(port, Math.min(count, 500), { reuse });
  const { seconds, cpu } = await new ProcessTree(pid).price(count, () =>
    generate(port, count, { reuse }),
  );
  report.add({ figure, value: count / seconds, unit: "/s", cpu });
}
