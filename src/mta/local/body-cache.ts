/**
 * Bodies a worker has fetched: once per message, however many deliveries there are. A few unused ones
 * stay, because the next delivery is likely to be of the same message.
 */
import type { StoredMessage } from "./stored-message.ts";

/** Unused bodies kept. */
const KEEP = 16;

interface Entry {
  readonly body: Promise<StoredMessage>;
  users: number;
}

export class BodyCache {
  private readonly fetch: (
    message: number,
    token: Buffer,
    sizeBytes: number,
  ) => Promise<StoredMessage>;
  /** Least recently used first. */
  private readonly entries = new Map<number, Entry>();

  constructor(
    fetch: (message: number, token: Buffer, sizeBytes: number) => Promise<StoredMessage>,
  ) {
    this.fetch = fetch;
  }

  /** Call `release` for every `take` that resolved. */
  async take(message: number, token: Buffer, sizeBytes: number): Promise<StoredMessage> {
    let entry = this.entries.get(message);
    if (!entry) {
      entry = { body: this.fetch(message, token, sizeBytes), users: 0 };
    } else {
      this.entries.delete(message);
    }
    this.entries.set(message, entry);
    entry.users++;
    try {
      return await entry.body;
    } catch (error) {
      entry.users--;
      if (this.entries.get(message) === entry) this.entries.delete(message);
      throw error;
    }
  }

  release(message: number): void {
    const entry = this.entries.get(message);
    if (entry) entry.users--;
    let spare = this.entries.size - KEEP;
    for (const [key, old] of this.entries) {
      if (spare <= 0) break;
      if (old.users > 0) continue;
      this.entries.delete(key);
      spare--;
      old.body.then(
        (body) => body.close(),
        () => {}, // it never arrived; whoever wanted it was told
      );
    }
  }
}
