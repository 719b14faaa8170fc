/**
 * An SMTP sink of our own for what smtp-sink cannot do: STARTTLS, and peers that close after a number
 * of messages. Keeps nothing. A process of its own, so that its CPU time can be told from ours:
 *
 *   node bench/sink.mjs [--tls] [--messages N]      prints its port
 */
import { spawn, spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createSecureContext, TLSSocket } from "node:tls";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";

/** Start one; `stop()` ends it. */
export async function startOwnSink(args = []) {
  const child = spawn("node", [fileURLToPath(import.meta.url), ...args], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  const port = await new Promise((resolve) => child.stdout.once("data", (text) => resolve(+text)));
  return { port, pid: child.pid, stop: () => child.kill("SIGTERM") };
}

function certificate() {
  const dir = mkdtempSync(join(tmpdir(), "bench-tls-"));
  const [key, cert] = [join(dir, "key"), join(dir, "cert")];
  const made = spawnSync("openssl", [
    ..."req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2".split(" "),
    ...["-subj", "/CN=sink.test", "-keyout", key, "-out", cert],
  ]);
  if (made.status !== 0) throw new Error(String(made.stderr));
  const pem = { key: readFileSync(key), cert: readFileSync(cert) };
  rmSync(dir, { recursive: true });
  return pem;
}

const END = Buffer.from("\r\n.\r\n");
const replies = { MAIL: "250 ok\r\n", RCPT: "250 ok\r\n", DATA: "354 go\r\n", RSET: "250 ok\r\n" };

/** One conversation on a plain or secured socket. */
function serve(socket, options, hello) {
  let pending;
  let inData = false;
  let messages = 0;
  socket.on("error", () => {});
  socket.on("data", (chunk) => {
    let data = pending ? Buffer.concat([pending, chunk]) : chunk;
    pending = undefined;
    let out = "";
    while (data.length > 0) {
      if (inData) {
        const end = data.indexOf(END);
        if (end < 0) break;
        data = data.subarray(end + END.length);
        inData = false;
        out += "250 taken\r\n";
        if (++messages === options.messages) {
          socket.end(out);
          return;
        }
        continue;
      }
      const end = data.indexOf(10);
      if (end < 0) break;
      const verb = data.latin1Slice(0, 4).toUpperCase();
      data = data.subarray(end + 1);
      inData = verb === "DATA";
      if (verb === "STAR") {
        socket.removeAllListeners("data");
        socket.write("220 go\r\n");
        const secure = new TLSSocket(socket, { isServer: true, secureContext: options.context });
        serve(secure, options, hello.replace("250-STARTTLS\r\n", ""));
        return;
      }
      if (verb === "QUIT") {
        socket.end(`${out}221 bye\r\n`);
        return;
      }
      out += verb === "EHLO" ? hello : (replies[verb] ?? "502 what\r\n");
    }
    if (data.length > 0) pending = data;
    if (out) socket.write(out);
  });
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const { values } = parseArgs({
    options: { tls: { type: "boolean" }, messages: { type: "string", default: "0" } },
  });
  const options = { messages: Number(values.messages), context: undefined };
  if (values.tls) options.context = createSecureContext(certificate());
  const offers = `250-sink\r\n250-PIPELINING\r\n${values.tls ? "250-STARTTLS\r\n" : ""}250 8BITMIME\r\n`;
  createServer({ noDelay: true }, (socket) => {
    socket.write("220 sink\r\n");
    serve(socket, options, offers);
  }).listen({ port: 0, host: "127.0.0.1", backlog: 1024 }, function () {
    console.log(this.address().port);
  });
}
