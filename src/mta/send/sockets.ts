/** The listening sockets of qmail-send. A file a dead process left is replaced. */
import { chmodSync, rmSync } from "node:fs";
import { createServer, type Server, type Socket } from "node:net";

/** We hold the lock of the home, so a socket file that is there has no owner any more. */
export async function listenAt(
  path: string,
  mode: number,
  connected: (socket: Socket) => void,
): Promise<Server> {
  rmSync(path, { force: true });
  const server = createServer(connected);
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    server.listen(path, () => resolve());
  });
  chmodSync(path, mode);
  return server;
}
