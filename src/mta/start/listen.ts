/**
 * The listening sockets. qmail-start binds them, because only it may bind ports below 1024, and hands
 * them to the listener process; it never accepts a connection itself.
 */

import { lookup } from "node:dns/promises";
import { createServer, isIPv6, type Server } from "node:net";
import { errorText, isErrno, TemporaryError } from "../../lib/errors.ts";

export interface Address {
  readonly ip: string;
  readonly port: number;
}

export const defaultListen = "127.0.0.1:2525";

/** `HOST:PORT[,HOST:PORT]`, IPv6 in brackets; "" = none. Names are resolved here, once. */
export async function parseListen(text: string): Promise<Address[]> {
  const addresses: Address[] = [];
  for (const part of text.split(",").filter((piece) => piece.trim() !== "")) {
    const match = /^\s*(?:\[([^\]]+)\]|([^:\s]+)):(\d{1,5})\s*$/.exec(part);
    const port = Number(match?.[3]);
    if (!match || port > 65535) {
      throw new TemporaryError(
        `SMTP_LISTEN must be HOST:PORT[,HOST:PORT], not ${JSON.stringify(text)}`,
      );
    }
    const name = match[1] ?? match[2] ?? "";
    try {
      addresses.push({ ip: (await lookup(name)).address, port });
    } catch (error) {
      throw new TemporaryError(`cannot resolve ${name} in SMTP_LISTEN`, { cause: error });
    }
  }
  return addresses;
}

export function addressText({ ip, port }: Address): string {
  return isIPv6(ip) ? `[${ip}]:${port}` : `${ip}:${port}`;
}

export interface Bound {
  readonly fd: number;
  /** With the port the system chose when 0 was asked for. */
  readonly address: Address;
}

/**
 * Bind all, give the descriptors to `use`, and close our copies. All of it happens within one turn of
 * the event loop: in the next one this process would begin to accept connections that are not its own.
 */
export async function withListeners<T>(
  addresses: readonly Address[],
  use: (bound: readonly Bound[]) => T,
): Promise<T> {
  const servers: Server[] = [];
  try {
    for (const address of addresses) servers.push(await listen(address));
    return use(servers.map(bound));
  } finally {
    for (const server of servers) server.close();
  }
}

function listen(address: Address): Promise<Server> {
  const server = createServer();
  return new Promise((resolve, reject) => {
    server.on("error", (error) => reject(new TemporaryError(listenTrouble(address, error))));
    server.listen({ host: address.ip, port: address.port, backlog: 511 }, () => resolve(server));
  });
}

function listenTrouble(address: Address, error: Error): string {
  const text = addressText(address);
  if (isErrno(error, "EADDRINUSE")) {
    return `cannot listen on ${text}: another program has that port; set SMTP_LISTEN=HOST:PORT`;
  }
  if (isErrno(error, "EACCES")) {
    return `cannot listen on ${text}: only root may use ports below 1024; set SMTP_LISTEN=HOST:PORT`;
  }
  return `cannot listen on ${text}: ${errorText(error)}`;
}

/** Node has no public name for the descriptor of a listening socket. */
function bound(server: Server): Bound {
  const { fd } = (server as unknown as { _handle: { fd: number } })._handle;
  const at = server.address();
  if (at === null || typeof at === "string") throw new TemporaryError("a socket has no address");
  return { fd, address: { ip: at.address, port: at.port } };
}
