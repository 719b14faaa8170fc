/** Asks the running qmail-send over `queue/admin`: nobody else may open the queue (design 3). */
import { connect } from "node:net";
import { join } from "node:path";
import { errorText, isErrno, TemporaryError } from "../../lib/errors.ts";
import { type ExitCode, TEMPORARY } from "../../lib/exit-code.ts";
import type { Host } from "../../lib/program.ts";
import { type AdminMessage, readAdmin, writeAdmin } from "../channel/admin-messages.ts";
import { Channel } from "../channel/channel.ts";
import { PROTOCOL_VERSION } from "../channel/protocol.ts";

/** Writes the answer to stdout as it comes; resolves to the exit code qmail-send gives for it. */
export function askServer(host: Host, verb: string): Promise<ExitCode> {
  return new Promise((resolve, reject) => {
    const socket = connect(join(host.home, "queue", "admin"));
    let refused: Error | undefined;
    socket.once("error", (error) => {
      refused = new TemporaryError(connectTrouble(host, error), { cause: error });
    });
    const channel = new Channel<AdminMessage, AdminMessage>(socket, writeAdmin, readAdmin, {
      message(message) {
        if (message.type === "text") host.stdout.write(message.text);
        if (message.type !== "end") return;
        resolve(message.code);
        channel.end();
      },
      closed() {
        if (refused) return reject(refused);
        host.stderr.write("lost the server\n");
        resolve(TEMPORARY);
      },
    });
    channel.send({ type: "ask", version: PROTOCOL_VERSION, verb });
  });
}

function connectTrouble(host: Host, error: Error): string {
  if (isErrno(error, "ENOENT", "ECONNREFUSED", "ENOTDIR")) {
    return `no server runs on ${host.home}; only a running one can say what is in its queue`;
  }
  if (isErrno(error, "EACCES")) return "only root and the owner of the queue may ask";
  return `cannot reach the server: ${errorText(error)}`;
}
