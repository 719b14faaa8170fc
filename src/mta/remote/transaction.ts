/**
 * One MAIL … final reply on a connection, and the job it belongs to. A job is the work of one slot
 * for one destination; its transactions go out in order, on one connection at a time. Every
 * recipient is settled exactly once, by `settle`.
 */
import type { WireAddress } from "./wire-address.ts";
import type { WireBody } from "./wire-body.ts";

/** How one recipient ended. */
export interface Outcome {
  readonly verdict: "K" | "Z" | "D";
  /** Ends in LF, without the letter. */
  readonly text: string;
  /** Set when the reply to RCPT decided: the address of the host that refused. */
  readonly refusedBy?: string;
  /** Set when RCPT had been accepted: only the message itself failed. */
  readonly afterRecipients?: boolean;
}

export interface RemoteAddressee {
  readonly address: WireAddress;
  /** What the submitter of the job calls it. */
  readonly tag: number;
  accepted: boolean;
  settled: boolean;
}

export class Transaction {
  readonly job: Job;
  readonly sender: WireAddress;
  /** Fields in front of the body, ASCII with CRLF; "" none. */
  readonly prefix: string;
  /** Those not settled yet. */
  addressees: RemoteAddressee[];
  /** Tries lost with a connection that had carried nothing before. */
  lost = 0;

  constructor(job: Job, sender: WireAddress, addressees: RemoteAddressee[], prefix = "") {
    this.job = job;
    this.sender = sender;
    this.prefix = prefix;
    this.addressees = addressees;
  }

  /** What SIZE= announces. */
  get sizeBytes(): number {
    return this.prefix.length + this.job.body.sizeBytes;
  }

  get utf8(): boolean {
    return this.sender.utf8 || this.addressees.some((one) => one.address.utf8);
  }

  settle(one: RemoteAddressee, outcome: Outcome): void {
    if (one.settled) return;
    one.settled = true;
    this.job.settled(one.tag, outcome);
  }

  settleAll(outcome: Outcome): void {
    for (const one of this.addressees) this.settle(one, outcome);
  }

  /** Keep only what still needs an answer, as for a first try. False when nothing is left. */
  rewind(): boolean {
    this.addressees = this.addressees.filter((one) => !one.settled);
    for (const one of this.addressees) one.accepted = false;
    return this.addressees.length > 0;
  }
}

export type SettledHandler = (tag: number, outcome: Outcome) => void;

/** Where the transactions of a job come from. */
export interface TransactionSource {
  readonly empty: boolean;
  next(job: Job): Transaction | undefined;
  giveUp(outcome: Outcome): void;
}

export class Job {
  readonly body: WireBody;
  readonly settled: SettledHandler;
  private readonly source: TransactionSource;
  /** To be sent once more, the last put back first. */
  private readonly again: Transaction[] = [];
  /** Whether a connection is working through it. */
  held = false;

  constructor(body: WireBody, settled: SettledHandler, source: TransactionSource) {
    this.body = body;
    this.settled = settled;
    this.source = source;
  }

  get empty(): boolean {
    return this.again.length === 0 && this.source.empty;
  }

  next(): Transaction | undefined {
    return this.again.pop() ?? this.source.next(this);
  }

  putBack(transaction: Transaction): void {
    this.again.push(transaction);
  }

  /** Nothing more will be tried: every recipient that waits gets this outcome. */
  giveUp(outcome: Outcome): void {
    for (let one = this.again.pop(); one; one = this.again.pop()) one.settleAll(outcome);
    this.source.giveUp(outcome);
  }
}
