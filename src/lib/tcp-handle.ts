/**
 * Accepted TCP connections on the handles below `net`. A `net.Socket` is two streams and an emitter, each with
 * copies of its options: half of what a server does for a connection of a few lines. Node hands the handles
 * out by `process.binding`, which its documentation deprecates (DEP0111), so they are used in the versions
 * they were tried with. In any other, and where policy forbids it, there are none and `net` it is.
 */
import type { Server } from "node:net";
import { getSystemErrorName } from "node:util";
import type { PeerEvents, PeerSocket } from "./peer-socket.ts";

/** What is used of Node's `TCP`. Numbers are 0, or an error below 0. */
interface Handle {
  owner: HandleSocket;
  onread: (this: Handle) => void;
  useUserBuffer(buffer: Uint8Array): void;
  readStart(): number;
  readStop(): number;
  setNoDelay(on: boolean): number;
  getpeername(out: Address): number;
  getsockname(out: Address): number;
  writeLatin1String(request: Request, text: string): number;
  shutdown(request: Request): number;
  close(closed: (this: Handle) => void): void;
}

interface Address {
  address?: string;
}

/** A write or a shutdown that is not done at once. */
interface Request {
  owner: HandleSocket;
  oncomplete: (this: Request, status: number) => void;
}

interface Binding {
  readonly WriteWrap: new () => Request;
  readonly ShutdownWrap: new () => Request;
  readonly streamBaseState: Int32Array;
  readonly kReadBytesOrError: number;
  readonly kLastWriteWasAsync: number;
}

interface ListeningHandle extends Partial<Handle> {
  onconnection?: (status: number, handle: Handle | undefined) => void;
}

/** uv.h */
const UV_EOF = -4095;
/** `shutdown` was done at once. */
const DONE = 1;

/** Major versions of Node the tests have run in. */
const TRIED: ReadonlySet<string | undefined> = new Set(["20", "22", "24"]);

/** What is needed of `process`. */
interface NodeProcess {
  readonly versions: { readonly node: string };
  readonly binding?: (name: string) => unknown;
}

/** Takes connections of servers over. */
export interface TcpHandles {
  /**
   * From now on connections of a server that listens come to `accept` instead of as events `connection`. False,
   * and nothing has changed, when it does not listen on TCP.
   */
  takeOver(server: Server, accept: (socket: PeerSocket) => void): boolean;
}

/** Undefined: this Node has none, or none that are known. */
export function tcpHandles(node: NodeProcess): TcpHandles | undefined {
  const binding = TRIED.has(node.versions.node.split(".")[0]) ? findBinding(node) : undefined;
  if (!binding) return undefined;
  return {
    takeOver(server, accept) {
      const listening = (server as { _handle?: ListeningHandle })._handle;
      if (!listening?.onconnection || !listening.setNoDelay) return false;
      listening.onconnection = (status, handle) => {
        if (handle) accept(new HandleSocket(handle, binding));
        else server.emit("error", acceptError(getSystemErrorName(status)));
      };
      return true;
    },
  };
}

function acceptError(code: string): Error {
  return Object.assign(new Error(`accept ${code}`), { code });
}

function findBinding(node: NodeProcess): Binding | undefined {
  let found: Partial<Binding> | undefined;
  try {
    found = node.binding?.("stream_wrap") as Partial<Binding> | undefined;
  } catch {
    return undefined; // not allowed to
  }
  const isKnown =
    typeof found?.WriteWrap === "function" &&
    typeof found.ShutdownWrap === "function" &&
    found.streamBaseState instanceof Int32Array &&
    typeof found.kReadBytesOrError === "number" &&
    typeof found.kLastWriteWasAsync === "number";
  return isKnown ? (found as Binding) : undefined;
}

/** What was read is dealt with before the next read, so one is enough for all. */
const readBuffer = Buffer.allocUnsafeSlow(65_536);

class HandleSocket implements PeerSocket {
  events: PeerEvents | undefined;
  isClosed = false;
  /** Writes the kernel had no room for yet. */
  private unsent = 0;
  private reading = false;
  private peerEnded = false;
  private ending = false;
  private ended = false;
  private closesAtEnd = false;
  private readonly handle: Handle;
  private readonly binding: Binding;

  constructor(handle: Handle, binding: Binding) {
    this.handle = handle;
    this.binding = binding;
    handle.owner = this;
    handle.setNoDelay(true);
  }

  get remoteAddress(): string | undefined {
    const out: Address = {};
    return this.handle.getpeername(out) === 0 ? out.address : undefined;
  }

  get localAddress(): string | undefined {
    const out: Address = {};
    return this.handle.getsockname(out) === 0 ? out.address : undefined;
  }

  get hasUnsent(): boolean {
    return this.unsent > 0;
  }

  start(events: PeerEvents): void {
    this.events = events;
    this.handle.onread = onRead;
    this.handle.useUserBuffer(readBuffer);
    this.resume();
  }

  /** Called by `onRead`. */
  read(): void {
    const { binding } = this;
    const size = binding.streamBaseState[binding.kReadBytesOrError] ?? 0;
    if (size > 0) {
      this.events?.received(readBuffer.subarray(0, size));
    } else if (size === UV_EOF) {
      this.peerEnded = true;
      this.events?.ended();
      if (this.ended) this.close();
    } else if (size < 0) {
      this.close();
    }
  }

  write(text: string): boolean {
    if (this.isClosed || this.ending) return true;
    const { binding } = this;
    const request = unusedRequest ?? new binding.WriteWrap();
    unusedRequest = undefined;
    const status = this.handle.writeLatin1String(request, text);
    if (status !== 0) {
      this.close();
      return true;
    }
    if (binding.streamBaseState[binding.kLastWriteWasAsync] === 0) {
      unusedRequest = request;
      return true;
    }
    this.unsent++;
    request.owner = this;
    request.oncomplete = onWritten;
    return false;
  }

  /** Called by `onWritten`. */
  written(status: number): void {
    this.unsent--;
    if (status < 0) this.close();
    else if (this.unsent === 0 && !this.ending && !this.isClosed) this.events?.drained();
  }

  pause(): void {
    if (!this.reading || this.isClosed) return;
    this.reading = false;
    this.handle.readStop();
  }

  resume(): void {
    if (this.reading || this.isClosed || this.peerEnded) return;
    this.reading = true;
    if (this.handle.readStart() !== 0) this.close();
  }

  end(): void {
    if (this.ending || this.isClosed) return;
    this.ending = true;
    const request = new this.binding.ShutdownWrap();
    request.owner = this;
    request.oncomplete = onShutdown;
    const status = this.handle.shutdown(request);
    if (status === DONE) this.shutDown(0);
    else if (status !== 0) this.close();
  }

  /** Called by `onShutdown`. */
  shutDown(status: number): void {
    this.ended = true;
    if (status < 0 || this.closesAtEnd || this.peerEnded) this.close();
  }

  endAndClose(): void {
    this.closesAtEnd = true;
    if (this.ended) this.close();
    else this.end();
  }

  close(): void {
    if (this.isClosed) return;
    this.isClosed = true;
    this.handle.close(onClosed);
  }
}

/** One for all writes that are done at once, which leave it as it was. */
let unusedRequest: Request | undefined;

/** What it returned would be taken for the next buffer. */
function onRead(this: Handle): void {
  this.owner.read();
}

function onWritten(this: Request, status: number): void {
  this.owner.written(status);
}

function onShutdown(this: Request, status: number): void {
  this.owner.shutDown(status);
}

function onClosed(this: Handle): void {
  this.owner.events?.closed();
}
