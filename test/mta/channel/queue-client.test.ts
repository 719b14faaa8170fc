import { afterEach, expect, test } from "vitest";
import { PermanentError, TemporaryError } from "../../../src/lib/errors.ts";
import { BODY_CHUNK, CREDIT_WINDOW } from "../../../src/mta/channel/protocol.ts";
import {
  connectQueue,
  type QueueClient,
  type QueueClientOptions,
} from "../../../src/mta/channel/queue-client.ts";
import { FakeQueue, type FakeQueueScript } from "../../support/fake-queue.ts";

const capability = Buffer.alloc(32, 7);
let queue: FakeQueue | undefined;
let client: QueueClient | undefined;

afterEach(async () => {
  client?.destroy();
  await queue?.stop();
  client = undefined;
  queue = undefined;
});

async function start(
  script: FakeQueueScript = {},
  options: QueueClientOptions = {},
): Promise<{ queue: FakeQueue; client: QueueClient }> {
  queue = await FakeQueue.start({ capability, ...script });
  client = await connectQueue(queue.path, capability, options);
  return { queue, client };
}

test("commit() of a small mail resolves with the id, and all of it arrives in one read", async () => {
  const { queue, client } = await start({}, { keyPrefix: "7.1/2/" });
  queue.reads.length = 0;
  const mail = client.open({ key: "post", urgency: "bulk", prefix: "X: y\n" });
  mail.put("Subject: x\n\n");
  mail.put(Buffer.from("body\n"));
  mail.from("ann@example.org");
  mail.to("bob@example.net");
  mail.to("zoë@example.net");
  await expect(mail.commit()).resolves.toEqual({ id: "1001" });
  expect(queue.mails[0]).toMatchObject({
    key: "7.1/2/post",
    urgency: "bulk",
    sender: "ann@example.org",
    recipients: ["bob@example.net", "zoë@example.net"],
    body: Buffer.from("Subject: x\n\nbody\n"),
  });
  expect(queue.reads).toHaveLength(1);
  expect(queue.log.map((m) => m.type)).toEqual(["open", "body", "sender", "recipients", "commit"]);
  expect(queue.log[0]).toMatchObject({ prefix: "X: y\n" });
  expect(client.openSessions).toBe(0);
});

test("a mail that outgrows one frame, or names two senders, arrives in the order it was given", async () => {
  const { queue, client } = await start();
  const large = client.open();
  large.put("Subject: x\n\n");
  large.from("ann@x");
  large.to("a@x");
  for (let n = 0; n < BODY_CHUNK / 8; n++) large.to(`number${n}@x`);
  await large.commit();
  const [mail] = queue.mails;
  expect(mail).toMatchObject({ sender: "ann@x", body: Buffer.from("Subject: x\n\n") });
  expect(mail?.recipients).toHaveLength(1 + BODY_CHUNK / 8);
  expect(mail?.recipients.slice(0, 2)).toEqual(["a@x", "number0@x"]);
  queue.log.length = 0;
  const foreign = client.open();
  foreign.from("ann@x");
  for (let n = 0; n < BODY_CHUNK / 16; n++) foreign.to(`${"ë".repeat(8)}${n}@x`);
  await foreign.commit();
  const frames = queue.log.flatMap((m) => (m.type === "recipients" ? m.packed.length : []));
  expect(Math.max(...frames)).toBeLessThan(BODY_CHUNK + 100);
  queue.log.length = 0;
  const latin1 = client.open();
  latin1.from("ann@x");
  latin1.toPacked(Buffer.from("andr\xe9@x\0", "latin1"));
  await latin1.commit();
  const packed = queue.log.flatMap((m) => (m.type === "recipients" ? m.packed : []));
  expect(packed).toEqual([Buffer.from("andr\xe9@x\0", "latin1")]);
  queue.log.length = 0;
  const twice = client.open();
  twice.from("ann@x");
  twice.from("bob@x");
  twice.to("a@x");
  await twice.commit();
  expect(queue.log.filter((m) => m.type === "sender").map((m) => m.address)).toEqual([
    "ann@x",
    "bob@x",
  ]);
});

test("open() keeps interleaved sessions apart", async () => {
  const { queue, client } = await start();
  const mails = [1, 2, 3].map(() => client.open());
  for (let round = 0; round < 5; round++) {
    for (const [n, mail] of mails.entries()) mail.put(`${n}`.repeat(40_000));
  }
  for (const [n, mail] of mails.entries()) {
    mail.from("");
    mail.to(`r${n}@x`);
  }
  await Promise.all(mails.map((mail) => mail.commit()));
  for (const n of [0, 1, 2]) {
    const mail = queue.mails.find((m) => m.recipients[0] === `r${n}@x`);
    expect(mail?.body.toString()).toBe(`${n}`.repeat(200_000));
    expect(mail?.sender).toBe("");
    expect(mail?.key).toBe("");
  }
});

test("put() never has more than the credit window under way and reports full", async () => {
  const { queue, client } = await start({ autoCredit: false });
  const mail = client.open();
  const sent = (): number =>
    queue.log.reduce((sum, m) => sum + (m.type === "body" ? m.bytes.length : 0), 0);
  expect(mail.full).toBe(false);
  mail.put(Buffer.alloc(CREDIT_WINDOW + 3 * BODY_CHUNK, 65));
  mail.from("a@x");
  mail.to("b@x");
  expect(mail.full).toBe(true);
  await queue.until(() => sent() === CREDIT_WINDOW);
  let drained = false;
  const room = mail.drained().then(() => {
    drained = true;
  });
  const done = mail.commit();
  // The answer to a second session proves that nothing more of the first one was sent meanwhile.
  const other = client.open();
  other.from("");
  other.to("c@x");
  await other.commit();
  expect(sent()).toBe(CREDIT_WINDOW);
  expect(drained).toBe(false);
  const session = queue.log[0]?.type === "open" ? queue.log[0].session : 0;
  queue.tell({ type: "credit", session, bytes: 4 * BODY_CHUNK });
  await room;
  await done;
  expect(queue.mails.find((m) => m.session === session)?.bodyBytes).toBe(
    CREDIT_WINDOW + 3 * BODY_CHUNK,
  );
});

test("toPacked() cuts at whole addresses, keeps to the credit, and goes together with to()", async () => {
  const { queue, client } = await start();
  const mail = client.open();
  mail.put("Subject: x\n\n");
  mail.from("list-return-@example.org-@[]");
  const addresses = Array.from({ length: 30_000 }, (_, i) => `subscriber${i}@exämple.net`);
  mail.to("first@example.net");
  mail.toPacked(Buffer.from(`${addresses.join("\0")}\0`));
  if (mail.full) await mail.drained();
  mail.to("last@example.net");
  await mail.commit();
  expect(queue.mails[0]?.recipients).toEqual([
    "first@example.net",
    ...addresses,
    "last@example.net",
  ]);
  const frames = queue.log.flatMap((m) => (m.type === "recipients" ? [m.packed] : []));
  expect(frames.every((packed) => packed.at(-1) === 0)).toBe(true);
  expect(Math.max(...frames.map((packed) => packed.length))).toBeLessThanOrEqual(BODY_CHUNK);
});

test("to() streams 100,000 recipients in frames the channel takes", async () => {
  const { queue, client } = await start();
  const mail = client.open({ urgency: "bulk" });
  mail.put("\n");
  mail.from("list-return-1-@example.org-@[]");
  for (let n = 0; n < 100_000; n++) {
    mail.to(`subscriber${n}@example.net`);
    if (mail.full) await mail.drained();
  }
  await mail.commit();
  expect(queue.mails[0]?.recipients).toHaveLength(100_000);
  expect(queue.mails[0]?.recipients.at(-1)).toBe("subscriber99999@example.net");
});

test("commit() rejects with the verdict of the queue", async () => {
  const { client } = await start({
    verdict: (mail) =>
      mail.recipients[0] === "perm@x"
        ? { verdict: "D", text: "mail server permanently rejected message (#5.3.0)" }
        : { verdict: "Z", text: "qq write error or disk full (#4.3.0)" },
  });
  const permanent = client.open();
  permanent.from("");
  permanent.to("perm@x");
  const error = await permanent.commit().catch((e: unknown) => e);
  expect(error).toBeInstanceOf(PermanentError);
  expect(error).toMatchObject({ message: "mail server permanently rejected message (#5.3.0)" });
  const temporary = client.open();
  temporary.from("");
  temporary.to("temp@x");
  await expect(temporary.commit()).rejects.toThrow(TemporaryError);
});

test("open() of 3,000 messages at once keeps to what the server takes from one client", async () => {
  const { queue, client } = await start();
  let most = 0;
  queue.script.verdict = (mail) => {
    most = Math.max(most, mail.session);
    return undefined;
  };
  const ends = Array.from({ length: 3000 }, () => {
    const mail = client.open();
    mail.put("x\n");
    mail.from("");
    mail.to("a@x");
    return mail.commit();
  });
  await queue.until(() => queue.mails.length > 0);
  expect(queue.log.filter((m) => m.type === "open").length).toBeLessThanOrEqual(1024);
  await Promise.all(ends);
  expect(queue.mails).toHaveLength(3000);
  expect(most).toBe(3000);
});

test("a refusal before the commit ends the session; later calls are harmless", async () => {
  const { queue, client } = await start({ autoCredit: false });
  const mail = client.open();
  mail.put(Buffer.alloc(CREDIT_WINDOW * 2));
  await queue.until(() => queue.log.length > 0);
  queue.tell({ type: "refused", session: 1, verdict: "Z", text: "out of memory (#4.3.0)" });
  await mail.drained();
  mail.put("more");
  mail.to("a@x");
  expect(mail.full).toBe(false);
  await expect(mail.commit()).rejects.toThrow("out of memory (#4.3.0)");
});

test("a lost connection fails every open commit temporarily, and later opens too", async () => {
  let closed = 0;
  const { queue, client } = await start({ verdict: () => "hold" }, { closed: () => closed++ });
  const mails = [client.open(), client.open()];
  const ends = mails.map((mail) => {
    mail.from("");
    mail.to("a@x");
    return mail.commit().catch((e: unknown) => e);
  });
  const waiting = client.open();
  await queue.until(() => queue.log.filter((m) => m.type === "commit").length === 2);
  queue.cut();
  for (const end of await Promise.all(ends)) expect(end).toBeInstanceOf(TemporaryError);
  await expect(waiting.commit()).rejects.toThrow("lost connection to the queue (#4.3.0)");
  await expect(client.open().commit()).rejects.toThrow(TemporaryError);
  expect(closed).toBe(1);
  expect(client.closed).toBe(true);
});

test("abort() leaves nothing behind and commit() after it rejects", async () => {
  const { queue, client } = await start();
  const mail = client.open();
  mail.put(Buffer.alloc(BODY_CHUNK + 1));
  mail.abort();
  mail.abort();
  await queue.until(() => queue.aborted === 1);
  await expect(mail.commit()).rejects.toThrow(TemporaryError);
  const never = client.open();
  never.put("held back, so the server never hears of it");
  never.abort();
  const after = client.open();
  after.from("");
  after.to("a@x");
  await after.commit();
  expect(queue.log.filter((m) => m.type === "open")).toHaveLength(2);
});

test("connectQueue() rejects temporarily for a wrong capability and for no server", async () => {
  queue = await FakeQueue.start({ capability });
  await expect(connectQueue(queue.path, Buffer.alloc(32, 8))).rejects.toThrow(TemporaryError);
  await expect(connectQueue(`${queue.path}.none`, capability)).rejects.toThrow(TemporaryError);
});

test("fetch() yields bodies byte for byte: small, large, at once and again", async () => {
  const small = Buffer.from("Subject: s\n\nx\n");
  const large = Buffer.alloc(3_000_000, "0123456789\n");
  const { client } = await start({ bodies: new Map([[1, small], [2, large], [3, Buffer.alloc(0)]]) }); // biome-ignore format: one map
  const read = async (id: number, size?: number): Promise<Buffer> => {
    const parts: Buffer[] = [];
    for await (const chunk of client.fetch(id, Buffer.alloc(16), size)) parts.push(chunk);
    return Buffer.concat(parts);
  };
  expect(await read(1, small.length)).toEqual(small);
  expect(await read(3, 0)).toHaveLength(0);
  expect((await read(2, large.length)).equals(large)).toBe(true);
  expect(await read(1)).toEqual(small);
  const twice = await Promise.all([read(1, small.length), read(1, small.length)]);
  expect(twice).toEqual([small, small]);
});

test("fetchSmall() gives each reader of a body all of it, and fails with the connection", async () => {
  const { queue, client } = await start({
    bodies: new Map([
      [1, Buffer.from("one\n")],
      [2, Buffer.alloc(0)],
    ]),
  });
  const token = Buffer.alloc(16);
  const bodies = await Promise.all([1, 2, 1].map((id) => client.fetchSmall(id, token)));
  expect(bodies.map(String)).toEqual(["one\n", "", "one\n"]);
  await queue.stop();
  await expect(client.fetchSmall(1, token)).rejects.toThrow(TemporaryError);
});

test("fetch() of a large body held back by its reader does not hold back verdicts", async () => {
  const large = Buffer.alloc(20_000_000, "abc\n");
  const { queue, client } = await start({ bodies: new Map([[2, large]]) });
  let bytes = 0;
  for await (const chunk of client.fetch(2, Buffer.alloc(16), large.length)) {
    if (bytes === 0) {
      const mail = client.open();
      mail.from("");
      mail.to("a@x");
      await mail.commit();
    }
    bytes += chunk.length;
  }
  expect(bytes).toBe(large.length);
  for await (const _chunk of client.fetch(2, Buffer.alloc(16), large.length)) break;
  await queue.until(() => queue.connections === 1);
});

test("fetch() rejects temporarily when the server has no such body", async () => {
  const { client } = await start({ bodies: new Map() });
  const read = async (): Promise<void> => {
    for await (const _chunk of client.fetch(9, Buffer.alloc(16))) break;
  };
  await expect(read()).rejects.toThrow(TemporaryError);
});
