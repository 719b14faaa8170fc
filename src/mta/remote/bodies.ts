/**
 * The bodies qmail-rspawn holds: each message's once, however many slots use it. Small ones come with
 * the work, others are pulled by token into an unlinked temporary file. A body goes when qmail-send
 * says `forget` and the last slot that uses it has ended.
 */
import { SMALL_BODY } from "../channel/protocol.ts";
import { collectBody, memoryBody, type WireBody } from "./wire-body.ts";

export type FetchBody = (
  message: number,
  token: Buffer,
  sizeBytes: number,
) => AsyncIterable<Uint8Array>;

/** Passes on what comes and fails when it is not `sizeBytes` long: half a message is never sent. */
async function* exactly(
  source: AsyncIterable<Uint8Array>,
  sizeBytes: number,
): AsyncIterable<Uint8Array> {
  let size = 0;
  for await (const chunk of source) {
    size += chunk.length;
    yield chunk;
  }
  if (size !== sizeBytes) throw new Error(`message of ${size} bytes, ${sizeBytes} announced`);
}

export class Bodies {
  private readonly fetch: FetchBody;
  private readonly directory: string;
  private readonly ready = new Map<number, WireBody>();
  private readonly coming = new Map<number, Promise<WireBody>>();
  private readonly parts = new Map<number, Buffer[]>();

  /** `directory` is where large bodies are spooled. */
  constructor(fetch: FetchBody, directory: string) {
    this.fetch = fetch;
    this.directory = directory;
  }

  /** A piece of a small body. The bytes are copied. */
  chunk(message: number, bytes: Buffer, last: boolean): void {
    const parts = this.parts.get(message) ?? [];
    parts.push(Buffer.from(bytes));
    if (!last) {
      this.parts.set(message, parts);
      return;
    }
    this.parts.delete(message);
    this.keep(
      message,
      memoryBody(parts.length === 1 ? (parts[0] as Buffer) : Buffer.concat(parts)),
    );
  }

  private keep(message: number, body: WireBody): void {
    this.ready.get(message)?.release();
    this.ready.set(message, body);
  }

  /** The body when it is here already. */
  have(message: number): WireBody | undefined {
    return this.ready.get(message);
  }

  /** Pull it; callers at the same time share one pull. A failed one is tried anew by the next caller. */
  get(message: number, token: Buffer, sizeBytes: number): Promise<WireBody> {
    const known = this.coming.get(message);
    if (known) return known;
    const source = exactly(this.fetch(message, token, sizeBytes), sizeBytes);
    const body = collectBody(source, this.directory, SMALL_BODY)
      .then((done) => {
        this.keep(message, done);
        return done;
      })
      .finally(() => this.coming.delete(message));
    this.coming.set(message, body);
    return body;
  }

  /** Never while a pull is under way: the slots that wait for it have not been reported. */
  forget(message: number): void {
    this.parts.delete(message);
    this.ready.get(message)?.release();
    this.ready.delete(message);
  }
}
