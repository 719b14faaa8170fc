/**
 * The submission key of qmail-inject inside a delivery: a hash of what it was asked to send, so that a
 * re-run of the same line queues nothing twice, and two mails of one line stay two (design 6).
 */
import type { Host } from "../../lib/program.ts";
import type { InjectedMessage } from "./message-reader.ts";

/** Longer messages have no key: a re-run sends them again. */
const limitBytes = 32 << 20;

export interface KeyedBody {
  readonly key: string | undefined;
  /** The body, from its first byte. */
  readonly body: AsyncIterable<Buffer>;
}

export async function contentKey(host: Host, message: InjectedMessage): Promise<KeyedBody> {
  if (host.deliveryKey === undefined) return { key: undefined, body: message.body() };
  const { createHash } = await import("node:crypto");
  const hash = createHash("sha256").update(JSON.stringify([host.args, message.fields]));
  const held: Buffer[] = [];
  let size = 0;
  const rest = message.body()[Symbol.asyncIterator]();
  let next = await rest.next();
  for (; !next.done && size <= limitBytes; next = await rest.next()) {
    hash.update(next.value);
    held.push(next.value);
    size += next.value.length;
  }
  const complete = next.done === true;
  const pending = next;
  async function* body(): AsyncGenerator<Buffer> {
    yield* held;
    for (let more = pending; !more.done; more = await rest.next()) yield more.value;
  }
  return { key: complete ? `inject:${hash.digest("hex").slice(0, 32)}` : undefined, body: body() };
}
