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
  Urgency,
} from "../../lib/queue-door.ts";
import { ADDRESS_LIMIT, DropWriter } from "../queue/drop-file.ts";

/** Who hands in: the MTA home and the pid, which the log calls `qp`. */
export interface DropOrigin {
  readonly home: string;
  readonly pid: number;
}

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
  readonly carriesPrefix = true;
  readonly keepsKeys = true;
  private readonly origin: DropOrigin;
  /** Makes a submission key unique: which delivery and instruction this process runs for; "" outside. */
  private readonly keyLead: string;

  constructor(origin: DropOrigin, keyLead: string) {
    this.origin = origin;
    this.keyLead = keyLead;
  }

  open(options: SubmissionOptions = {}): Submission {
    const key = options.key !== undefined && this.keyLead ? `${this.keyLead}/${options.key}` : "";
    return new DropSubmission(this.origin, {
      key,
      urgency: options.urgency ?? "normal",
      prefix: options.prefix ?? "",
    });
  }
}

interface DropHead {
  readonly key: string;
  readonly urgency: Urgency;
  readonly prefix: string;
}

class DropSubmission implements Submission {
  readonly full = false;
  private readonly origin: DropOrigin;
  private writer: DropWriter | undefined;
  private trouble: Error | undefined;
  private hasSender = false;

  constructor(origin: DropOrigin, head: DropHead) {
    this.origin = origin;
    this.attempt("open", () => {
      this.writer = new DropWriter({ home: origin.home, pid: origin.pid, ...head });
    });
  }

  /** The first error is kept for `commit`; after it nothing more is written. */
  private attempt(step: "open" | "write", work: () => void): void {
    if (this.trouble) return;
    try {
      work();
    } catch (error) {
      this.trouble =
        error instanceof PermanentError ? error : dropError(this.origin.home, step, error);
    }
  }

  put(bytes: Uint8Array | string): void {
    this.attempt("write", () => this.writer?.put(bytes));
  }

  from(sender: string): void {
    this.trouble ??= addressTrouble(sender);
    this.hasSender = true;
    this.attempt("write", () => this.writer?.from(sender));
  }

  to(recipient: string): void {
    this.trouble ??= addressTrouble(recipient);
    this.attempt("write", () => this.writer?.to(recipient));
  }

  async drained(): Promise<void> {}

  async commit(): Promise<QueueReceipt> {
    if (!this.hasSender) this.trouble ??= new TemporaryError("qq internal bug (#4.3.0)");
    this.attempt("write", () => this.writer?.commit());
    if (this.trouble) {
      this.abort();
      throw this.trouble;
    }
    this.writer = undefined;
    return { id: String(this.origin.pid) };
  }

  abort(): void {
    this.writer?.abort();
    this.writer = undefined;
  }
}
