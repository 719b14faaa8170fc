/**
 * A receiving SMTP server for what smtp-sink cannot do, in a process of its own: node bench/sink.mjs PORT JSON.
 * Options: closeAfter (messages on a connection), delayMs (before the reply to the message), mute (takes the
 * connection, says nothing), tls ({ key, cert }), watch (text in an address whose arrivals are told).
 * With `hosts` it listens at that many loopback addresses from number `from` on: each is a site of its own.
 * Tells the parent { at, recipient } of what is watched, and { first } after a "mark"; see startNodeSink.
 * It checks nothing: what is right on the wire is for the tests.
 */
import { createServer } from "node:net";
import { createSecureContext, TLSSocket } from "node:tls";
import { sinkHost } from "./measure.mjs";

const [port, json] = process.argv.slice(2);
const options = JSON.parse(json);
const context = options.tls && createSecureContext(options.tls);
const end = Buffer.from("\r\n.\r\n");
const now = () => Number(process.hrtime.bigint()) / 1e6;
let marked = false;
let taken = 0;
process.on("message", (message) => {
  if (message === "mark") marked = true;
  if (message === "count") process.send({ taken });
});

function serve(socket) {
  let rest = Buffer.alloc(0);
  let inData = false;
  let messages = 0;
  let secured = false;
  let watched;
  const hello = () =>
    `250-sink.test\r\n${context && !secured ? "250-STARTTLS\r\n" : ""}250-PIPELINING\r\n250 8BITMIME\r\n`;
  const message = () => {
    const at = now();
    taken++;
    if (marked) process.send({ first: at });
    marked = false;
    if (watched) process.send({ at, recipient: watched });
    watched = undefined;
    return "250 2.0.0 accepted\r\n";
  };
  const command = (line) => {
    switch (line.slice(0, 4).toUpperCase()) {
      case "EHLO":
        return hello();
      case "RCPT":
        if (options.watch && line.includes(options.watch)) watched = line;
        return "250 2.1.5 ok\r\n";
      case "DATA":
        inData = true;
        return "354 go on\r\n";
      case "STAR":
        return "220 go on\r\n";
      case "QUIT":
        return "221 bye\r\n";
      default:
        return "250 ok\r\n";
    }
  };
  const read = (stream, chunk) => {
    let at = 0;
    let out = "";
    let closing = false;
    let data = rest.length > 0 ? Buffer.concat([rest, chunk]) : chunk;
    while (!closing) {
      const stop = inData ? data.indexOf(end, at) : data.indexOf("\r\n", at);
      if (stop < 0) break;
      if (inData) {
        at = stop + end.length;
        inData = false;
        if (options.delayMs) {
          // What the client has sent ahead waits: replies come in order.
          rest = Buffer.from(data.subarray(at));
          if (out !== "") stream.write(out);
          stream.pause();
          setTimeout(() => {
            if (stream.writable) stream.write(message());
            stream.resume();
            read(stream, Buffer.alloc(0));
          }, options.delayMs);
          return;
        }
        out += message();
        closing = ++messages === options.closeAfter;
      } else {
        const line = data.latin1Slice(at, stop);
        at = stop + 2;
        out += command(line);
        closing = /^quit/i.test(line);
        if (/^starttls/i.test(line)) {
          stream.write(out);
          secure(stream);
          return;
        }
      }
    }
    data = data.subarray(at);
    // In a long body only its end may matter.
    rest = Buffer.from(inData && data.length > 4 ? data.subarray(-4) : data);
    if (out !== "") closing ? stream.end(out) : stream.write(out);
  };
  const secure = (plain) => {
    secured = true;
    rest = Buffer.alloc(0);
    plain.removeAllListeners("data");
    const stream = new TLSSocket(plain, { isServer: true, secureContext: context });
    listen(stream);
  };
  const listen = (stream) => {
    stream.on("error", () => stream.destroy());
    stream.on("data", (chunk) => read(stream, chunk));
  };
  socket.setNoDelay(true);
  listen(socket);
  if (!options.mute) socket.write("220 sink.test ESMTP\r\n");
}

const { from = 1, hosts = 1 } = options;
let waiting = hosts;
for (let n = from; n < from + hosts; n++) {
  const server = createServer(serve);
  server.listen({ port: Number(port), host: sinkHost(n), backlog: 1024 }, () => {
    if (--waiting === 0) process.send("up");
  });
}
process.on("disconnect", () => process.exit());
