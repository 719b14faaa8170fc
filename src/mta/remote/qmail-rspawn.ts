/**
 * The work of qmail-rspawn: slots from qmail-send become deliveries of the engine (or runs of the
 * program in QMAILREMOTE), outcomes become reports, one batch per turn. Every delivery of a slot is
 * reported once. Writes nothing but unlinked temporary files and, where it may, `queue/lock/tcpto`.
 */

import { expandVerp } from "../../lib/address.ts";
import { HeaderPrefix } from "../../lib/header-prefix.ts";
import type { Environment } from "../../lib/program.ts";
import { REPORT_LIMIT, type Report } from "../channel/protocol.ts";
import type { QueueMessage, RemoteRecipient } from "../channel/queue-messages.ts";
import { Bodies, type FetchBody } from "./bodies.ts";
import type { Engine } from "./engine.ts";
import type { Delivery } from "./envelope-source.ts";
import { RawBodies, runExternal } from "./external-remote.ts";
import { givingUp, outcomes } from "./outcome-text.ts";
import type { Outcome } from "./transaction.ts";
import { hostOf } from "./wire-address.ts";
import type { WireBody } from "./wire-body.ts";

export interface RspawnOptions {
  readonly engine: Engine;
  readonly fetch: FetchBody;
  /** Towards qmail-send. */
  readonly send: (reports: Report[]) => void;
  /** Where temporary files go. */
  readonly directory: string;
  /** QMAILREMOTE; undefined = our own engine. */
  readonly program: string | undefined;
  readonly env: Environment;
}

type Slot = Extract<QueueMessage, { type: "remote" }>;

/** Reports in one frame, and the bytes of their texts: both well below the frame limit. */
const MOST_REPORTS = 1000;
const MOST_TEXT = 262144;
/** How long a report may wait for others. */
const GATHER_MS = 5;

const noHost: Outcome = {
  verdict: "D",
  text: "Sorry, that address must include a host name. (#5.1.3)\n",
};

export class Rspawn {
  private readonly options: RspawnOptions;
  private readonly bodies: Bodies;
  private readonly raw: RawBodies | undefined;
  private reports: Report[] = [];
  private reportBytes = 0;
  /** A slot has ended. */
  private isUrgent = false;
  private immediate: NodeJS.Immediate | undefined;
  private timer: NodeJS.Timeout | undefined;
  private sentAt = Number.NEGATIVE_INFINITY;
  private running = 0;
  private whenDone: (() => void) | undefined;
  private stopping = false;
  /** After `close` nobody hears reports. */
  private silent = false;

  constructor(options: RspawnOptions) {
    this.options = options;
    this.bodies = new Bodies(options.fetch, options.directory);
    this.raw = options.program === undefined ? undefined : new RawBodies(options.directory);
  }

  /** A message of the queue channel; those that are not for us are ignored. */
  receive(message: QueueMessage): void {
    switch (message.type) {
      case "chunk":
        if (this.raw) {
          const bytes = Buffer.from(message.bytes);
          void this.raw.path(message.message, () => once(bytes)).catch(() => {});
        } else this.bodies.chunk(message.message, message.bytes, message.last);
        return;
      case "remote":
        if (!this.stopping) this.slot(message);
        return;
      case "forget":
        this.bodies.forget(message.message);
        this.raw?.forget(message.message);
        return;
      default:
        return;
    }
  }

  /** Take nothing more; resolves when what runs has ended, or after the time limit. */
  async stop(limitMs: number): Promise<void> {
    this.stopping = true;
    if (this.running > 0) {
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, limitMs);
        this.whenDone = () => {
          clearTimeout(timer);
          resolve();
        };
      });
    }
    this.flush();
    this.close();
  }

  /** Drop everything: qmail-send puts back what was not reported. */
  close(): void {
    this.stopping = true;
    this.silent = true;
    this.options.engine.close();
    this.raw?.close();
  }

  // ---- slots ----------------------------------------------------------------------------------

  private slot(slot: Slot): void {
    if (slot.recipients.length === 0) return;
    this.running += slot.recipients.length;
    if (this.raw) {
      void this.external(slot, this.raw);
      return;
    }
    const body = this.bodies.have(slot.message);
    if (body) {
      this.deliver(slot, body);
      return;
    }
    this.bodies.get(slot.message, slot.token, slot.sizeBytes).then(
      (fetched) => this.deliver(slot, fetched),
      () => this.unreadable(slot),
    );
  }

  private deliver(slot: Slot, body: WireBody): void {
    let left = slot.recipients.length;
    body.retain();
    const settled = (delivery: number, outcome: Outcome): void => {
      if (--left === 0) {
        this.isUrgent = true;
        body.release();
      }
      this.report(delivery, outcome);
    };
    const hosts = byHost(slot);
    for (const one of hosts.get("") ?? []) settled(one.tag, noHost);
    hosts.delete("");
    const sites = [...hosts].map(([host, deliveries]) => ({ host, deliveries }));
    const { sender } = slot;
    const prefix = slot.prefix === "" ? undefined : new HeaderPrefix(slot.prefix, "\r\n");
    this.options.engine.deliver({ sites, sender, verp: true, prefix, body }, settled);
  }

  private unreadable(slot: Slot): void {
    this.isUrgent = true;
    slot.recipients.forEach((_, at) => {
      this.report(slot.first + at, outcomes.unreadable());
    });
  }

  /** One program after the other: a slot is one delivery's worth of load. */
  private async external(slot: Slot, raw: RawBodies): Promise<void> {
    const { program = "", env, fetch } = this.options;
    let path: string;
    try {
      path = await raw.path(slot.message, () => fetch(slot.message, slot.token, slot.sizeBytes));
    } catch {
      this.unreadable(slot);
      return;
    }
    const prefix = slot.prefix === "" ? undefined : new HeaderPrefix(slot.prefix, "\n");
    for (const [at, recipient] of slot.recipients.entries()) {
      const host = hostOf(recipient.routed);
      const sender = expandVerp(slot.sender, recipient.original);
      this.isUrgent = true;
      const unfit = host === "" || [host, sender, recipient.routed].some((w) => w.includes("\0"));
      this.report(
        slot.first + at,
        unfit
          ? noHost
          : await runExternal({
              program,
              host,
              sender,
              recipient: recipient.routed,
              path,
              prefix: prefix?.fill(recipient.original) ?? "",
              env,
            }),
      );
    }
  }

  // ---- reports --------------------------------------------------------------------------------

  private report(delivery: number, { verdict, text, refusedBy }: Outcome): void {
    const full = refusedBy === undefined ? text : text + givingUp(refusedBy);
    const kept = full.length > REPORT_LIMIT ? full.slice(0, REPORT_LIMIT) : full;
    this.reports.push({ delivery, verdict, text: kept });
    this.reportBytes += kept.length;
    this.running--;
    if (this.reports.length >= MOST_REPORTS || this.reportBytes >= MOST_TEXT) this.flush();
    else this.schedule();
    if (this.running === 0) this.whenDone?.();
  }

  /**
   * At the end of this turn what is urgent: the end of a slot, which makes room for the next one, and
   * the first report after a pause. The others may wait a moment for more: qmail-send would do little
   * else than wake up for each.
   */
  private schedule(): void {
    if (this.isUrgent || performance.now() - this.sentAt >= GATHER_MS) {
      this.immediate ??= setImmediate(() => this.flush());
    } else this.timer ??= setTimeout(() => this.flush(), GATHER_MS);
  }

  private flush(): void {
    clearImmediate(this.immediate);
    clearTimeout(this.timer);
    this.immediate = undefined;
    this.timer = undefined;
    this.isUrgent = false;
    if (this.reports.length === 0) return;
    this.sentAt = performance.now();
    if (!this.silent) this.options.send(this.reports);
    this.reports = [];
    this.reportBytes = 0;
  }
}

async function* once(bytes: Buffer): AsyncIterable<Buffer> {
  yield bytes;
}

/** The deliveries of a slot by host. A slot is for one site; nothing breaks when it is not. */
function byHost(slot: Slot): Map<string, Delivery[]> {
  const hosts = new Map<string, Delivery[]>();
  let lastDomain: string | undefined;
  let list: Delivery[] = [];
  slot.recipients.forEach(({ original, routed }: RemoteRecipient, at) => {
    const domain = routed.slice(routed.lastIndexOf("@") + 1);
    if (domain !== lastDomain || !routed.includes("@")) {
      const host = hostOf(routed);
      lastDomain = domain;
      list = hosts.get(host) ?? [];
      hosts.set(host, list);
    }
    list.push({ original, routed, tag: slot.first + at });
  });
  return hosts;
}
