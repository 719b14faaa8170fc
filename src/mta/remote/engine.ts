/**
 * The sending side of SMTP: takes deliveries for a host, finds its destination, and gives every
 * recipient exactly one outcome. Destinations do not wait for each other. What is kept in between is
 * a cache and may be dropped: destinations by host for a minute, connections while they are of use.
 */
import type { DnsResolver } from "../../lib/dns.ts";
import { TemporaryError } from "../../lib/errors.ts";
import { ConnectionResources } from "./connection-resources.ts";
import type { RemoteControls } from "./controls.ts";
import { DestinationCache, type Found } from "./destination-cache.ts";
import { type Copies, type Delivery, EnvelopeSource } from "./envelope-source.ts";
import type { Destination, NoDestination, OwnAddressTest } from "./mx.ts";
import { Pool, type PoolLimits } from "./pool.ts";
import type { TimeoutFile } from "./tcpto.ts";
import { Job, type Outcome, type SettledHandler } from "./transaction.ts";

export interface Site {
  /** Lower case, A-labels; decides the route. */
  readonly host: string;
  readonly deliveries: readonly Delivery[];
}

export interface Work extends Copies {
  readonly sites: readonly Site[];
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
  /** Milliseconds since the epoch, for the table of timeouts. */
  readonly now: () => number;
  readonly random: () => number;
}

const MOST_POOLS = 2000;

const stopped: Outcome = { verdict: "Z", text: "Stopped before this delivery ended. (#4.3.0)\n" };

interface Group {
  readonly destination: Destination;
  readonly deliveries: Delivery[];
}

function append(groups: Map<Found, Delivery[]>, found: Found, more: readonly Delivery[]): void {
  const list = groups.get(found);
  if (list) list.push(...more);
  else groups.set(found, [...more]);
}

/** `why`: a temporary text, or a verdict. */
function refuse(
  deliveries: readonly Delivery[],
  why: string | NoDestination,
  settled: SettledHandler,
): void {
  const outcome: Outcome = typeof why === "string" ? { verdict: "Z", text: why } : why;
  for (const { tag } of deliveries) settled(tag, outcome);
}

export class Engine {
  private readonly options: EngineOptions;
  private readonly destinations: DestinationCache;
  private readonly pools = new Map<string, Pool>();
  private readonly resources = new ConnectionResources();
  private controls: RemoteControls | undefined;
  private closed: Outcome | undefined;

  constructor(options: EngineOptions) {
    this.options = options;
    const { resolver, isOwn } = options;
    const now = (): number => this.resources.deadlines.now();
    this.destinations = new DestinationCache({ resolver, isOwn }, now);
  }

  /** Every delivery is settled once, later or now. */
  deliver(work: Work, settled: SettledHandler): void {
    let controls: RemoteControls;
    try {
      controls = this.currentControls();
    } catch (error) {
      const known = error instanceof TemporaryError;
      const text = known ? error.message : "Unable to read control files. (#4.3.0)";
      for (const { deliveries } of work.sites) refuse(deliveries, `${text}\n`, settled);
      return;
    }
    const waiting = new Map<Found, Delivery[]>();
    const ready = new Map<string, Group>();
    for (const { host, deliveries } of work.sites) {
      const found = this.destinations.find(host, controls);
      if (!found.value) append(waiting, found, deliveries);
      else if ("verdict" in found.value) refuse(deliveries, found.value, settled);
      else {
        const { key } = found.value;
        const group = ready.get(key);
        if (group) group.deliveries.push(...deliveries);
        else ready.set(key, { destination: found.value, deliveries: [...deliveries] });
      }
    }
    for (const { destination, deliveries } of ready.values()) {
      this.start(work, destination, deliveries, settled);
    }
    for (const [found, deliveries] of waiting) {
      found.answer.then(
        (value) => {
          if ("verdict" in value) refuse(deliveries, value, settled);
          else this.start(work, value, deliveries, settled);
        },
        () => refuse(deliveries, "System resources temporarily unavailable. (#4.3.0)\n", settled),
      );
    }
  }

  /** What goes to one destination is one job, whatever the hosts: it shares a connection. */
  private start(
    work: Work,
    destination: Destination,
    deliveries: readonly Delivery[],
    settled: SettledHandler,
  ): void {
    const { mostRecipients } = this.options.limits;
    const source = new EnvelopeSource(work, deliveries, settled, mostRecipients);
    const job = new Job(work.body, settled, source);
    if (this.closed) job.giveUp(this.closed);
    else this.poolOf(destination).add(job);
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

  // ---- where to -------------------------------------------------------------------------------

  private currentControls(): RemoteControls {
    const controls = this.options.controls();
    if (controls !== this.controls) {
      this.controls = controls;
      this.destinations.clear();
      for (const pool of [...this.pools.values()]) pool.retire();
      this.pools.clear();
    }
    return controls;
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
      },
      limits,
      mostMessages: limits.mostMessages,
      resources: this.resources,
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
