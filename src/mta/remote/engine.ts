/**
 * The sending side of SMTP: takes deliveries for a host, finds its destination, and gives every
 * recipient exactly one outcome. Destinations do not wait for each other. What is kept in between is
 * a cache and may be dropped: destinations by host for a minute, connections while they are of use.
 */
import { expandVerp, verpTemplate } from "../../lib/address.ts";
import type { DnsResolver } from "../../lib/dns.ts";
import { TemporaryError } from "../../lib/errors.ts";
import type { RemoteControls } from "./controls.ts";
import {
  type Destination,
  findDestination,
  type NoDestination,
  type OwnAddressTest,
} from "./mx.ts";
import { Pool, type PoolLimits } from "./pool.ts";
import type { TimeoutFile } from "./tcpto.ts";
import { Job, type Outcome, type SettledHandler, Transaction } from "./transaction.ts";
import { type WireAddress, wireAddress } from "./wire-address.ts";
import type { WireBody } from "./wire-body.ts";

export interface Delivery {
  /** As VERP and bounces know the recipient. */
  readonly original: string;
  /** What goes into RCPT. */
  readonly routed: string;
  readonly tag: number;
}

export interface Work {
  /** Lower case, A-labels; decides the route. */
  readonly host: string;
  readonly sender: string;
  /** Whether `sender` may be a VERP template, to be expanded per recipient. */
  readonly verp: boolean;
  readonly deliveries: readonly Delivery[];
  readonly body: WireBody;
}

export interface EngineLimits extends PoolLimits {
  readonly idleSeconds: number;
  readonly mostMessages: number;
  /** Recipients of one transaction. RFC 5321 4.5.3.1.8: 100 is what every server must take. */
  readonly mostRecipients: number;
}

export const engineLimits: EngineLimits = {
  mostConnections: 50,
  badSeconds: 20,
  patienceSeconds: 30,
  idleSeconds: 5,
  mostMessages: 1000,
  mostRecipients: 100,
};

export interface EngineOptions {
  /** Throws TemporaryError while they cannot be read. */
  readonly controls: () => RemoteControls;
  readonly resolver: DnsResolver;
  readonly isOwn: OwnAddressTest;
  readonly timeouts: TimeoutFile;
  readonly limits: EngineLimits;
  readonly now: () => number;
  readonly random: () => number;
}

interface Found {
  readonly answer: Promise<Destination | NoDestination>;
  until: number;
}

const FOUND_SECONDS = 60;
const SOFT_SECONDS = 10;
const MOST_FOUND = 20000;
const MOST_POOLS = 2000;

const stopped: Outcome = { verdict: "Z", text: "Stopped before this delivery ended. (#4.3.0)\n" };

const badAddress: Outcome = {
  verdict: "D",
  text: "Sorry, I can't write that address in an SMTP command. (#5.1.3)\n",
};

export class Engine {
  private readonly options: EngineOptions;
  private readonly found = new Map<string, Found>();
  private readonly pools = new Map<string, Pool>();
  private controls: RemoteControls | undefined;
  private closed: Outcome | undefined;

  constructor(options: EngineOptions) {
    this.options = options;
  }

  /** Every delivery is settled once, later or now. */
  deliver(work: Work, settled: SettledHandler): void {
    const job = new Job(work.body, settled);
    const transactions = this.transactionsOf(work, job, settled);
    if (transactions.length === 0) return;
    job.fill(transactions);
    if (this.closed) {
      job.giveUp(this.closed);
      return;
    }
    let controls: RemoteControls;
    try {
      controls = this.currentControls();
    } catch (error) {
      const known = error instanceof TemporaryError;
      const text = known ? error.message : "Unable to read control files. (#4.3.0)";
      job.giveUp({ verdict: "Z", text: `${text}\n` });
      return;
    }
    this.lookUp(work.host, controls).then(
      (answer) => {
        if ("verdict" in answer) job.giveUp({ verdict: answer.verdict, text: answer.text });
        else if (this.closed) job.giveUp(this.closed);
        else this.poolOf(answer).add(job);
      },
      () =>
        job.giveUp({ verdict: "Z", text: "System resources temporarily unavailable. (#4.3.0)\n" }),
    );
  }

  /** Nothing new; what runs is broken off with a temporary outcome. */
  close(outcome: Outcome = stopped): void {
    this.closed = outcome;
    for (const pool of [...this.pools.values()]) {
      pool.retire();
      pool.destroy(outcome);
    }
    this.pools.clear();
  }

  // ---- from a slot to transactions ------------------------------------------------------------

  private transactionsOf(work: Work, job: Job, settled: SettledHandler): Transaction[] {
    const verp = work.verp && verpTemplate(work.sender) !== undefined;
    const shared = verp ? undefined : wireAddress(work.sender);
    const transactions: Transaction[] = [];
    for (const delivery of work.deliveries) {
      const sender = verp ? wireAddress(expandVerp(work.sender, delivery.original)) : shared;
      const address = wireAddress(delivery.routed);
      if (!sender || !address) {
        settled(delivery.tag, badAddress);
        continue;
      }
      const one = { address, tag: delivery.tag, accepted: false, settled: false };
      const last = transactions[transactions.length - 1];
      if (!verp && last && this.fits(last, sender, address)) last.addressees.push(one);
      else transactions.push(new Transaction(job, sender, [one]));
    }
    return transactions;
  }

  private fits(last: Transaction, sender: WireAddress, address: WireAddress): boolean {
    return (
      last.addressees.length < this.options.limits.mostRecipients &&
      last.sender === sender &&
      // SMTPUTF8 is a property of the transaction: who can do without is not drawn into it.
      last.addressees[0]?.address.utf8 === address.utf8
    );
  }

  // ---- where to -------------------------------------------------------------------------------

  private currentControls(): RemoteControls {
    const controls = this.options.controls();
    if (controls !== this.controls) {
      this.controls = controls;
      this.found.clear();
      for (const pool of [...this.pools.values()]) pool.retire();
      this.pools.clear();
    }
    return controls;
  }

  private lookUp(host: string, controls: RemoteControls): Promise<Destination | NoDestination> {
    const now = this.options.now();
    const known = this.found.get(host);
    if (known && now < known.until) return known.answer;
    const answer = findDestination(host, {
      resolver: this.options.resolver,
      isOwn: this.options.isOwn,
      routes: controls.routes,
    });
    const entry: Found = { answer, until: now + FOUND_SECONDS * 1000 };
    this.found.delete(host);
    if (this.found.size >= MOST_FOUND) {
      const [oldest] = this.found.keys();
      if (oldest !== undefined) this.found.delete(oldest);
    }
    this.found.set(host, entry);
    const shorten = (): void => {
      entry.until = Math.min(entry.until, this.options.now() + SOFT_SECONDS * 1000);
    };
    answer.then((result) => {
      if ("verdict" in result && result.verdict === "Z") shorten();
    }, shorten);
    return answer;
  }

  private poolOf(destination: Destination): Pool {
    const known = this.pools.get(destination.key);
    if (known) return known;
    const controls = this.controls as RemoteControls;
    const { limits, timeouts, now, random } = this.options;
    const pool: Pool = new Pool(destination, {
      settings: {
        heloHost: controls.heloHost,
        connectSeconds: controls.connectSeconds,
        replySeconds: controls.replySeconds,
        idleSeconds: limits.idleSeconds,
        mostMessages: limits.mostMessages,
      },
      limits,
      timeouts,
      now,
      random,
      empty: () => this.forget(destination.key, pool),
    });
    this.pools.set(destination.key, pool);
    return pool;
  }

  private forget(key: string, pool: Pool): void {
    if (pool.spent && this.pools.get(key) === pool) this.pools.delete(key);
    else if (this.pools.size > MOST_POOLS) {
      for (const [other, candidate] of this.pools) {
        if (candidate.spent) this.pools.delete(other);
      }
    }
  }
}
