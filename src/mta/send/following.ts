/**
 * Deliveries that are out: each slot from its start to its last report, what the reports say about
 * job and site, and what is put back when a peer or we went away. Decides nothing about what starts.
 */
import type { Report, Verdict } from "../channel/protocol.ts";
import { paragraph } from "./bounce.ts";
import type { Events } from "./events.ts";
import type { Job } from "./job.ts";
import type { Marks } from "./marks.ts";
import type { OutRecord } from "./out-record.ts";
import {
  type ChannelName,
  crashBackoff,
  type Lifetime,
  latestTry,
  nextTry,
  SUSPECT,
  siteBlockSeconds,
} from "./schedule.ts";
import type { Site } from "./site.ts";
import { Slot, Slots } from "./slot.ts";
import type { Window } from "./window.ts";

/** A slot not heard of for so long may go on so for many minutes. */
const SILENT_SECONDS = 15;
/** So many deliveries of a slot tell how quick its site is. */
const FEW_DELIVERIES = 4;
const TOO_LONG = "I'm not going to try again; this message has been in the queue too long.\n";

/**
 * Whether a deferral is that of a connection that failed. Only our own words count: behind `Remote host said: ` a host
 * may write any code, and must not thereby stop the mail of all who share its relay. qmail reference 6.3.
 */
function saysUnreachable(text: string): boolean {
  const code = text.search(/\(#4\.4\.\d/);
  if (code < 0) return false;
  const said = text.indexOf("Remote host said: ");
  return said < 0 || code < said;
}

export interface FollowingOptions {
  readonly window: Window;
  readonly events: Events;
  readonly marks: Marks;
  readonly out: OutRecord;
  readonly concurrency: Readonly<Record<ChannelName, number>>;
  readonly lifetime: () => Lifetime;
  /** Seconds. */
  now(): number;
  /** The address to show in a bounce, as its sender knew it. */
  unroute(address: string): string;
}

export class Following {
  readonly channels: Readonly<Record<ChannelName, Slots>>;
  /** A slot started or ended since the last status line. */
  changed = false;
  private readonly o: FollowingOptions;
  private deliveries = 0;

  constructor(options: FollowingOptions) {
    this.o = options;
    const { local, remote } = options.concurrency;
    this.channels = { local: new Slots("local", local), remote: new Slots("remote", remote) };
  }

  /** Whether nothing is out. */
  get quiet(): boolean {
    return this.channels.local.slots.length + this.channels.remote.slots.length === 0;
  }

  /** A slot begins, with these jobs and the recipients of them. */
  open(channel: Slots, site: Site, jobs: Job[], indexes: number[]): Slot {
    const slot = new Slot(channel.name, site, this.deliveries + 1, jobs, indexes, this.o.now());
    this.deliveries += jobs.length;
    this.o.out.started(slot.ids);
    channel.slots.push(slot);
    this.changed = true;
    this.o.window.slotStarted(site);
    return slot;
  }

  logStart(slot: Slot): void {
    slot.jobs.forEach((job, at) => {
      const recipient = job.routed[slot.indexes[at] as number] as string;
      this.o.events.starting(slot.first + at, job.message.id, slot.channel, recipient);
    });
  }

  /** What was out when a process died may have been the reason. */
  accuse(channel: Slots, lost: string): void {
    for (const job of new Set(channel.slots.flatMap((slot) => slot.jobs))) {
      job.crashes++;
      if (job.crashes >= SUSPECT) this.o.events.suspect(job.row, job.crashes, lost);
    }
  }

  /** All of the channel is to be tried again. */
  putBack(channel: Slots, why: string): void {
    for (const slot of channel.slots.slice()) this.putBackSlot(channel, slot, why, this.o.now());
  }

  /** `retryAt`: seconds; as it was planned when not given. */
  putBackSlot(channel: Slots, slot: Slot, why: string, retryAt?: number): void {
    slot.connected = undefined;
    slot.jobs.forEach((job, at) => {
      if (slot.ended[at]) return;
      job.clean = false;
      if (retryAt !== undefined) job.retryAt = retryAt + crashBackoff(job.crashes);
      job.dying = false;
      this.report(channel, { delivery: slot.first + at, verdict: "Z", text: why }, undefined);
    });
  }

  /** Once a second or so: slots that are slow, or not heard of. */
  tick(): void {
    const silentSince = this.o.now() - SILENT_SECONDS;
    for (const { slots } of [this.channels.local, this.channels.remote]) {
      for (const slot of slots) {
        this.o.window.paced(slot.site, slot.pace);
        if (slot.silent || slot.heardAt > silentSince) continue;
        slot.silent = true;
        this.o.window.silent(slot.site);
      }
    }
  }

  /** Silence is counted from now on. */
  clockJumped(): void {
    const now = this.o.now();
    for (const slot of [...this.channels.local.slots, ...this.channels.remote.slots]) {
      slot.heardAt = now;
    }
  }

  /** What an answer at all, and when it came, says about the site. */
  private heard(slot: Slot, { verdict, text }: Report, now: number): void {
    const answered = slot.channel === "local" || verdict !== "Z" || !saysUnreachable(text);
    if (answered) slot.connected = true;
    if (answered && !slot.silent) this.o.window.answered(slot.site);
    slot.heardAt = now;
    slot.silent = false;
    const isTelling = slot.left === 0 || (slot.done >= FEW_DELIVERIES && !slot.site.isQuick);
    if (isTelling) this.o.window.paced(slot.site, slot.pace);
  }

  /** `now`: undefined when it is not the peer who reports. */
  report(channel: Slots, report: Report, now: number | undefined): void {
    const slot = channel.find(report.delivery);
    const at = slot ? report.delivery - slot.first : 0;
    if (!slot || slot.ended[at]) {
      this.o.events.warning("internal error: delivery report out of range");
      return;
    }
    slot.ended[at] = true;
    slot.left--;
    const job = slot.jobs[at] as Job;
    this.settle(channel.name, job, slot.indexes[at] as number, report);
    if (now !== undefined) this.heard(slot, report, now);
    job.running--;
    if (job.passOver) this.o.marks.passOver(job);
    else if (job.dirty) this.o.marks.soon(job);
    if (slot.left > 0) return;
    channel.remove(slot);
    this.o.out.ended(slot.ids);
    this.changed = true;
    this.o.window.slotEnded(slot.site, slot.connected, siteBlockSeconds);
  }

  private settle(name: ChannelName, job: Job, index: number, report: Report): void {
    const { events } = this.o;
    let verdict: Verdict = report.verdict;
    let { text } = report;
    if (verdict === "Z" && job.dying) {
      verdict = "D";
      if (text !== "" && !text.endsWith("\n")) text += "\n";
      text += TOO_LONG;
    }
    if (verdict === "Z") {
      events.deferral(report.delivery, text);
      const now = this.o.now();
      // The clock may have been put right since the pass began.
      if (job.retryAt > latestTry(now, this.o.lifetime().queuelifetime)) {
        job.retryAt = nextTry(job.message.born, now, name);
      }
      return;
    }
    if (verdict === "K") {
      events.success(report.delivery, text);
    } else {
      events.failure(report.delivery, text);
      const address = this.o.unroute(job.routed[index] as string);
      job.fail(paragraph(address, text));
    }
    job.settle(index);
    if (name === "local") job.forgetKeys(job.deliveryKey(index));
  }
}
