/**
 * Sockets for channels of processes that get many small messages: all of them read into one buffer.
 * Otherwise every read allocates 64 KiB and passes through a stream, which costs more than the message.
 * What a listener of `data` gets is valid until it returns.
 */
import { connect, type OnReadOpts, Socket } from "node:net";

const buffer = Buffer.allocUnsafeSlow(65536);

export function connectQuietly(path: string): Socket {
  const socket: Socket = connect({ path, onread: readInto(() => socket) });
  return socket;
}

export function inheritQuietly(fd: number): Socket {
  const options = { fd, readable: true, writable: true, onread: readInto(() => socket) };
  const socket: Socket = new Socket(options);
  return socket;
}

function readInto(socket: () => Socket): OnReadOpts {
  return {
    buffer,
    callback(size) {
      socket().emit("data", buffer.subarray(0, size));
      return true;
    },
  };
}
