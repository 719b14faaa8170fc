/** Connections of a server on `net` and on handles: what a protocol relies on holds for both. */
import { once } from "node:events";
import { connect, createServer, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, describe, expect, test } from "vitest";
import { type PeerEvents, type PeerSocket, StreamSocket } from "../../src/lib/peer-socket.ts";
import { tcpHandles } from "../../src/lib/tcp-handle.ts";

const cleanups: (() => void)[] = [];
afterEach(() => {
  for (const clean of cleanups.splice(0).reverse()) clean();
});

/** A server's end that remembers what happened to it. */
class Recorder implements PeerEvents {
  readonly socket: PeerSocket;
  readonly log: string[] = [];
  bytes = Buffer.alloc(0);
  on: Partial<Record<"received" | "ended" | "drained", () => void>> = {};

  constructor(socket: PeerSocket) {
    this.socket = socket;
  }

  received(bytes: Buffer): void {
    this.bytes = Buffer.concat([this.bytes, bytes]);
    bytes.fill(0); // as promised to be allowed
    this.on.received?.();
  }

  ended(): void {
    this.log.push("ended");
    this.on.ended?.();
  }

  drained(): void {
    this.log.push("drained");
    this.on.drained?.();
  }

  closed(): void {
    this.log.push("closed");
  }
}

const handles = tcpHandles(process);
/** Enough to fill what kernel and client hold. */
const MUCH = 48 << 20;

describe.each(["net", "handles"])("a connection of a server on %s", (kind) => {
  async function pair(): Promise<{ peer: Recorder; client: Socket }> {
    let accepted = (_: PeerSocket): void => {};
    const peerSocket = new Promise<PeerSocket>((resolve) => {
      accepted = resolve;
    });
    const server = createServer({ allowHalfOpen: true, noDelay: true }, (socket) =>
      accepted(new StreamSocket(socket)),
    );
    cleanups.push(() => server.close());
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    if (kind === "handles") expect(handles?.takeOver(server, accepted)).toBe(true);
    const { port } = server.address() as { port: number };
    const client = connect({ port, host: "127.0.0.1", allowHalfOpen: true });
    client.on("error", () => {});
    cleanups.push(() => client.destroy());
    const peer = new Recorder(await peerSocket);
    cleanups.push(() => peer.socket.close());
    peer.socket.start(peer);
    return { peer, client };
  }

  /** Up to the server's end; the client stays open. */
  async function allOf(client: Socket): Promise<string> {
    const chunks: Buffer[] = [];
    client.on("data", (chunk: Buffer) => chunks.push(chunk));
    client.resume();
    await once(client, "end");
    return Buffer.concat(chunks).toString("latin1");
  }

  /** Write until the client has no room; answers what was written. */
  function fill(peer: Recorder): string {
    const line = `${"0123456789".repeat(99)}\xe4\r\n`;
    let count = 0;
    while (peer.socket.write(line)) {
      count++;
      expect(count * line.length).toBeLessThan(MUCH);
    }
    return line.repeat(count + 1);
  }

  test("knows both addresses, and carries bytes both ways", async () => {
    const { peer, client } = await pair();
    expect([peer.socket.remoteAddress, peer.socket.localAddress]).toEqual([
      "127.0.0.1",
      "127.0.0.1",
    ]);
    client.write(Buffer.from([0, 255, 13, 10]));
    await expect.poll(() => peer.bytes.toString("hex")).toBe("00ff0d0a");
    peer.socket.write("\xff\x00\r\n");
    const [answer] = (await once(client, "data")) as [Buffer];
    expect(answer.toString("hex")).toBe("ff000d0a");
  });

  test("a client that has ended still gets what it is owed, then both are closed", async () => {
    const { peer, client } = await pair();
    client.end("QUIT\r\n");
    await expect.poll(() => peer.log).toEqual(["ended"]);
    peer.socket.write("221 bye\r\n");
    peer.socket.end();
    expect(await allOf(client)).toBe("221 bye\r\n");
    await expect.poll(() => peer.log).toEqual(["ended", "closed"]);
    expect([peer.bytes.toString(), peer.socket.isClosed]).toEqual(["QUIT\r\n", true]);
  });

  test("after end() the client may go on until it ends, too", async () => {
    const { peer, client } = await pair();
    peer.socket.write("550 no\r\n");
    peer.socket.end();
    expect(await allOf(client)).toBe("550 no\r\n");
    client.write("more");
    await expect.poll(() => peer.bytes.toString()).toBe("more");
    expect(peer.socket.isClosed).toBe(false);
    client.end();
    await expect.poll(() => peer.log).toEqual(["ended", "closed"]);
  });

  test("a client that does not read is told from one that does, and loses nothing", async () => {
    const { peer, client } = await pair();
    client.pause();
    const sent = fill(peer);
    expect(peer.socket.hasUnsent).toBe(true);
    peer.socket.write("last\r\n");
    peer.on.drained = () => peer.socket.end();
    expect((await allOf(client)) === `${sent}last\r\n`).toBe(true);
    client.end();
    await expect
      .poll(() => peer.log.filter((line) => line !== "ended"))
      .toEqual(["drained", "closed"]);
    expect(peer.socket.hasUnsent).toBe(false);
  });

  test("endAndClose() waits for what was written and not for the client's end", async () => {
    const { peer, client } = await pair();
    client.pause();
    const sent = fill(peer);
    peer.socket.endAndClose();
    expect(peer.socket.isClosed).toBe(false);
    expect((await allOf(client)) === sent).toBe(true);
    await expect.poll(() => peer.log).toContain("closed");
    expect(peer.log).not.toContain("drained");
    expect(client.writableEnded).toBe(false);
  });

  test("close() is at once, with unsent bytes too; what comes after it does nothing", async () => {
    const { peer } = await pair();
    fill(peer);
    peer.socket.close();
    expect([peer.socket.isClosed, peer.log]).toEqual([true, []]);
    peer.socket.close();
    peer.socket.write("x");
    peer.socket.pause();
    peer.socket.resume();
    peer.socket.end();
    peer.socket.endAndClose();
    await expect.poll(() => peer.log).toEqual(["closed"]);
    await new Promise((resolve) => setTimeout(resolve, 20));
    expect(peer.log).toEqual(["closed"]);
  });

  test("close() from within what is told of the peer", async () => {
    const [first, second] = [await pair(), await pair()];
    first.peer.on.received = () => first.peer.socket.close();
    second.peer.on.ended = () => second.peer.socket.close();
    first.client.write("x");
    second.client.end("y");
    await expect.poll(() => first.peer.log).toEqual(["closed"]);
    await expect.poll(() => second.peer.log).toEqual(["ended", "closed"]);
  });

  test("while paused nothing is told, and nothing is lost", async () => {
    const { peer, client } = await pair();
    client.write("one ");
    await expect.poll(() => peer.bytes.toString()).toBe("one ");
    peer.socket.pause();
    peer.socket.pause();
    client.end("two");
    await new Promise((resolve) => setTimeout(resolve, 50));
    expect([peer.bytes.toString(), peer.log]).toEqual(["one ", []]);
    peer.socket.resume();
    peer.socket.resume();
    await expect.poll(() => [peer.bytes.toString(), peer.log]).toEqual(["one two", ["ended"]]);
  });

  test("a client that resets the connection", async () => {
    const { peer, client } = await pair();
    client.pause();
    fill(peer);
    client.resetAndDestroy();
    await expect.poll(() => peer.log).toEqual(["closed"]);
    const other = await pair();
    other.client.resetAndDestroy();
    await expect.poll(() => other.peer.log).toEqual(["closed"]);
    other.peer.socket.write("too late");
    expect(other.peer.socket.isClosed).toBe(true);
  });

  test("a write that meets a reset nobody has read yet closes", async () => {
    const { peer, client } = await pair();
    peer.socket.pause();
    client.resetAndDestroy();
    await new Promise((resolve) => setTimeout(resolve, 50));
    peer.socket.write("too late");
    await expect.poll(() => peer.log).toEqual(["closed"]);
  });

  test("two connections that read into one buffer do not mix", async () => {
    const pairs = await Promise.all(Array.from({ length: 20 }, pair));
    for (let round = 0; round < 20; round++) {
      pairs.forEach(({ client }, at) => {
        client.write(String.fromCharCode(97 + at).repeat(5000));
      });
    }
    await expect.poll(() => pairs.every(({ peer }) => peer.bytes.length === 100_000)).toBe(true);
    pairs.forEach(({ peer }, at) => {
      expect(peer.bytes.every((byte) => byte === 97 + at)).toBe(true);
    });
  });
});

describe("tcpHandles", () => {
  const { binding } = process as { binding?: (name: string) => unknown };

  test("there are none in a version that was not tried, where forbidden, or unknown", () => {
    const versions = { node: "20.1.0" };
    expect(tcpHandles({ versions, ...(binding ? { binding } : {}) })).toHaveProperty("takeOver");
    expect(tcpHandles({ versions: { node: "97.0.0" }, ...(binding ? { binding } : {}) })).toBe(
      undefined,
    );
    expect(tcpHandles({ versions })).toBe(undefined);
    expect(tcpHandles({ versions, binding: () => ({ WriteWrap: class {} }) })).toBe(undefined);
    const forbidden = () => {
      throw new Error("Access to this API has been restricted");
    };
    expect(tcpHandles({ versions, binding: forbidden })).toBe(undefined);
  });

  test("a server that does not listen on TCP keeps its connections", async () => {
    const server = createServer();
    expect(handles?.takeOver(server, () => {})).toBe(false);
    server.listen(join(tmpdir(), `handles-${process.pid}.sock`));
    cleanups.push(() => server.close());
    await once(server, "listening");
    expect(handles?.takeOver(server, () => {})).toBe(false);
  });
});
