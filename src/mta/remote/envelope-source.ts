/**
 * The deliveries of a job, made into transactions one at a time: the first is on its way before the
 * last exists, and only those in flight take memory. Recipients that get the same copy share one.
 */
import { expandVerp, verpTemplate } from "../../lib/address.ts";
import type { HeaderPrefix } from "../../lib/header-prefix.ts";
import { type Job, type Outcome, type SettledHandler, Transaction } from "./transaction.ts";
import { isPlainWire, type WireAddress, wireAddress } from "./wire-address.ts";
import type { WireBody } from "./wire-body.ts";

export interface Delivery {
  /** As VERP and bounces know the recipient. */
  readonly original: string;
  /** What goes into RCPT. */
  readonly routed: string;
  readonly tag: number;
}

/** What all deliveries of one submission to the engine share. */
export interface Copies {
  readonly sender: string;
  /** Whether `sender` may be a VERP template, to be expanded per recipient. */
  readonly verp: boolean;
  /** Each copy has these fields, filled for its original recipient, in front of the body. */
  readonly prefix?: HeaderPrefix | undefined;
  readonly body: WireBody;
}

const badAddress: Outcome = {
  verdict: "D",
  text: "Sorry, I can't write that address in an SMTP command. (#5.1.3)\n",
};

export class EnvelopeSource {
  private readonly copies: Copies;
  private readonly deliveries: readonly Delivery[];
  private readonly settled: SettledHandler;
  private readonly mostRecipients: number;
  private readonly template: { prefix: string; host: string } | undefined;
  /** Whether the template adds nothing to an address that would need quoting. */
  private readonly isPlainTemplate: boolean;
  private readonly shared: WireAddress | undefined;
  private at = 0;

  constructor(
    copies: Copies,
    deliveries: readonly Delivery[],
    settled: SettledHandler,
    mostRecipients: number,
  ) {
    this.copies = copies;
    this.deliveries = deliveries;
    this.settled = settled;
    this.template = copies.verp ? verpTemplate(copies.sender) : undefined;
    const { prefix = "", host = "" } = this.template ?? {};
    this.isPlainTemplate = isPlainWire(`${prefix}x@${host}`);
    this.shared = this.template ? undefined : wireAddress(copies.sender);
    // Copies that differ are for one recipient each.
    this.mostRecipients = this.template || copies.prefix ? 1 : mostRecipients;
  }

  /** Nothing is left to be made. */
  get empty(): boolean {
    return this.at >= this.deliveries.length;
  }

  next(job: Job): Transaction | undefined {
    let transaction: Transaction | undefined;
    for (; this.at < this.deliveries.length; this.at++) {
      const delivery = this.deliveries[this.at] as Delivery;
      const address = wireAddress(delivery.routed);
      const sender = address && this.senderFor(delivery, address);
      if (!sender) {
        this.settled(delivery.tag, badAddress);
        continue;
      }
      const one = { address, tag: delivery.tag, accepted: false, settled: false };
      if (!transaction) {
        const prefix = this.copies.prefix?.fill(delivery.original);
        transaction = new Transaction(job, sender, [one], prefix);
      } else {
        // SMTPUTF8 is a property of the transaction: who can do without is not drawn into it.
        if (transaction.addressees[0]?.address.utf8 !== address.utf8) break;
        transaction.addressees.push(one);
      }
      if (transaction.addressees.length < this.mostRecipients) continue;
      this.at++;
      break;
    }
    return transaction;
  }

  private senderFor({ original, routed }: Delivery, address: WireAddress): WireAddress | undefined {
    const { template } = this;
    if (!template) return this.shared;
    if (!this.isPlainTemplate || original !== routed || address.text !== routed || address.utf8) {
      return wireAddress(expandVerp(this.copies.sender, original));
    }
    const at = original.lastIndexOf("@");
    if (at < 0) return wireAddress(this.copies.sender);
    // Plain in all its parts, so it is plain.
    const { prefix, host } = template;
    return {
      text: `${prefix}${original.slice(0, at)}=${original.slice(at + 1)}@${host}`,
      utf8: false,
    };
  }

  /** None of the rest will be tried; what could never be sent is told so all the same. */
  giveUp(outcome: Outcome): void {
    for (; this.at < this.deliveries.length; this.at++) {
      const delivery = this.deliveries[this.at] as Delivery;
      const address = wireAddress(delivery.routed);
      const isFit = address !== undefined && this.senderFor(delivery, address) !== undefined;
      this.settled(delivery.tag, isFit ? outcome : badAddress);
    }
  }
}
