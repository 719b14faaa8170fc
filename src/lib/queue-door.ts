/**
 * The door to the queue: how a program hands in a message (qmail.h in spirit: open, put, from, to,
 * close). Behind it stands the intake socket (servers, local workers), the drop directory
 * (commands), the program in QMAILQUEUE, or the recorder of the tests. A message is queued when
 * `commit()` resolves, not before.
 */

/**
 * Whose turn it is in the queue: answers somebody waits for (and bounces), then ordinary mail, then
 * fan-out. Weighted, never absolute; a message to very many is fan-out whatever it says.
 */
export type Urgency = "reply" | "normal" | "bulk";
export const urgencies: readonly Urgency[] = ["reply", "normal", "bulk"];

export interface SubmissionOptions {
  /**
   * Names this mail within one run of one program, e.g. `post` or `return:1795224928.4711`. Inside a
   * delivery a repeat of the same key (after a retry or a crash) is answered with yes and not queued
   * again (design 6). It must tell apart everything that is not the same mail. Without a key a re-run
   * sends again.
   */
  readonly key?: string;
  /** Default `normal`. */
  readonly urgency?: Urgency;
  /** Fields in front of the message that each copy has its own values in (header-prefix.ts). */
  readonly prefix?: string;
}

export interface QueueReceipt {
  /** What the log and the `qp N` text call it. */
  readonly id: string;
}

export interface Submission {
  /** Message bytes; a string is UTF-8. LF line ends. Buffered; see `drained`. */
  put(bytes: Uint8Array | string): void;
  from(sender: string): void;
  to(recipient: string): void;
  /**
   * Many recipients, each ended by NUL; the bytes are the submission's from here on. Where a door has it,
   * it saves taking apart what is put together again. See `addPacked`.
   */
  toPacked?(packed: Buffer): void;
  /** Whether enough is buffered that the caller should await `drained()` before giving more. */
  readonly full: boolean;
  drained(): Promise<void>;
  /**
   * Durable when it resolves. Rejects with PermanentError or TemporaryError carrying the text of the
   * verdict, as `qq write error or disk full (#4.3.0)`; then nothing was queued.
   */
  commit(): Promise<QueueReceipt>;
  /** Forget it. Harmless after commit. */
  abort(): void;
}

export interface QueueDoor {
  /** Whether `prefix` can be kept; what stands behind QMAILQUEUE knows none. */
  readonly carriesPrefix: boolean;
  /** Whether a repeat of a key is known for one; what stands behind QMAILQUEUE knows no keys. */
  readonly keepsKeys: boolean;
  open(options?: SubmissionOptions): Submission;
}

/** One mail, written by `write`, then committed; what fails on the way leaves nothing open. */
export async function handIn(
  queue: QueueDoor,
  options: SubmissionOptions,
  write: (out: Submission) => void | Promise<void>,
): Promise<QueueReceipt> {
  const out = queue.open(options);
  try {
    await write(out);
    return await out.commit();
  } catch (error) {
    out.abort();
    throw error;
  }
}

/** Recipients each ended by NUL, as a store of people gives them, through any door. */
export function addPacked(submission: Submission, packed: Buffer): void {
  if (submission.toPacked) submission.toPacked(packed);
  else for (const each of packed.toString("utf8").split("\0")) if (each !== "") submission.to(each);
}
