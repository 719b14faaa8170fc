/**
 * The queue door that writes straight into the drop directory; also the work of the command
 * qmail-queue. A failure carries the exit code qmail-queue has for it.
 */
import { errorText, isErrno, PermanentError, TemporaryError } from "../../lib/errors.ts";
import type {
  QueueDoor,
  QueueReceipt,
  Submission,
  SubmissionOptions,
} from "../../lib/queue-door.ts";
import { type DropOrigin, DropWriter } from "./drop-writer.ts";

/** Longest envelope address, bytes. qmail reference 2.1, exit code 11. */
export const ADDRESS_LIMIT = 1002;

/** Trouble on our side: exit code of qmail-queue and why. */
export class DropError extends TemporaryError {
  readonly queueExitCode: number;

  constructor(queueExitCode: number, lead: string, cause: unknown) {
    super(`${lead}: ${errorText(cause)} (#4.3.0)`, { cause });
    this.queueExitCode = queueExitCode;
  }
}

function dropError(home: string, step: "open" | "write", error: unknown): DropError {
  if (step === "write") return new DropError(53, "qq write error or disk full", error);
  if (isErrno(error, "ENOENT", "ENOTDIR")) {
    return new DropError(62, `qq trouble creating files in queue: ${home}/queue/drop`, error);
  }
  return new DropError(64, "qq trouble creating files in queue", error);
}

/** What is wrong with an envelope address, or undefined. Bytes that are no UTF-8 arrive as U+FFFD. */
export function addressTrouble(address: string): PermanentError | undefined {
  if (Buffer.byteLength(address) > ADDRESS_LIMIT) {
    return new PermanentError("envelope address too long for qq (#5.1.3)");
  }
  if (/[\0\n\r\ufffd]/.test(address)) {
    return new PermanentError("envelope address has bytes that no address may have (#5.1.3)");
  }
  return undefined;
}

export class DropQueue implements QueueDoor {
  private readonly origin: DropOrigin;
  /** Makes a submission key unique: which delivery and instruction this process runs for; "" outside. */
  private readonly keyLead: string;
  private serial = 0;

  constructor(origin: DropOrigin, keyLead: string) {
    this.origin = origin;
    this.keyLead = keyLead;
  }

  open(options: SubmissionOptions = {}): Submission {
    this.serial++;
    const key = options.key !== undefined && this.keyLead ? `${this.keyLead}/${options.key}` : "";
    return new DropSubmission(this.origin, this.serial, key, options.urgency === "bulk");
  }
}

class DropSubmission implements Submission {
  readonly full = false;
  private readonly home: string;
  private readonly key: string;
  private readonly bulk: boolean;
  private writer: DropWriter | undefined;
  private trouble: Error | undefined;
  private sender: string | undefined;

  constructor(origin: DropOrigin, serial: number, key: string, bulk: boolean) {
    this.home = origin.home;
    this.key = key;
    this.bulk = bulk;
    try {
      this.writer = new DropWriter(origin, serial);
    } catch (error) {
      this.trouble = dropError(origin.home, "open", error);
    }
  }

  put(bytes: Uint8Array | string): void {
    this.write(typeof bytes === "string" ? Buffer.from(bytes) : bytes);
  }

  from(sender: string): void {
    this.trouble ??= addressTrouble(sender);
    this.sender = sender;
    this.writer?.endMessage();
    this.write(Buffer.from(`F${sender}\0`));
  }

  to(recipient: string): void {
    this.trouble ??= addressTrouble(recipient);
    this.write(Buffer.from(`T${recipient}\0`));
  }

  private write(bytes: Uint8Array): void {
    if (this.trouble || !this.writer) return;
    try {
      this.writer.write(bytes);
    } catch (error) {
      this.trouble = dropError(this.home, "write", error);
    }
  }

  async drained(): Promise<void> {}

  async commit(): Promise<QueueReceipt> {
    const writer = this.writer;
    if (this.trouble || !writer || this.sender === undefined) {
      this.abort();
      throw this.trouble ?? new TemporaryError("qq internal bug (#4.3.0)");
    }
    this.writer = undefined;
    try {
      writer.finish(this.key, this.bulk);
    } catch (error) {
      throw dropError(this.home, "write", error);
    }
    return { id: String(writer.pid) };
  }

  abort(): void {
    this.writer?.discard();
    this.writer = undefined;
  }
}
