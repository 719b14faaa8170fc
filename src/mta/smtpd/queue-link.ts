/**
 * The listener's connection to `queue/intake`: kept open, and opened again with growing pauses after
 * it was lost. While there is none, `door` is undefined and DATA gets 451.
 */
import { errorText } from "../../lib/errors.ts";
import type { QueueDoor } from "../../lib/queue-door.ts";
import { QueueClient } from "../channel/queue-client.ts";

const FIRST_PAUSE_MS = 50;
const LONGEST_PAUSE_MS = 5000;

export class QueueLink {
  private readonly path: string;
  private readonly capability: Buffer;
  private readonly warn: (text: string) => void;
  private client: QueueClient | undefined;
  private isWelcome = false;
  private pauseMs = FIRST_PAUSE_MS;
  private timer: NodeJS.Timeout | undefined;
  private isStopped = false;

  constructor(path: string, capability: Buffer, warn: (text: string) => void) {
    this.path = path;
    this.capability = capability;
    this.warn = warn;
  }

  get door(): QueueDoor | undefined {
    return this.isWelcome ? this.client : undefined;
  }

  /** Resolves when the first attempt ended, well or not. */
  async start(): Promise<void> {
    const client = new QueueClient(this.path, this.capability, {
      closed: (error) => this.lost(client, error),
    });
    this.client = client;
    try {
      await client.welcomed;
      this.isWelcome = this.client === client;
      this.pauseMs = FIRST_PAUSE_MS;
    } catch {
      // `closed` has been told and tries again.
    }
  }

  stop(): void {
    this.isStopped = true;
    clearTimeout(this.timer);
    this.client?.end();
    this.isWelcome = false;
  }

  private lost(client: QueueClient, error: Error | undefined): void {
    if (this.client !== client || this.isStopped) return;
    this.client = undefined;
    this.isWelcome = false;
    this.warn(`unable to reach the queue: ${error ? errorText(error) : "connection closed"}`);
    this.timer = setTimeout(() => void this.start(), this.pauseMs);
    this.pauseMs = Math.min(this.pauseMs * 2, LONGEST_PAUSE_MS);
  }
}
