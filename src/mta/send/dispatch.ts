/**
 * Starts what the window offers while slots are free; following.ts sees each delivery to its end,
 * marks.ts hands the results to the queue. A slot is one `remote` or `local` message to a peer.
 * Nothing starts while a mark cannot be committed, the log is stalled, or the peer does not take more.
 */
import { HeaderPrefix } from "../../lib/header-prefix.ts";
import { type Report, SMALL_BODY } from "../channel/protocol.ts";
import type { Failpoint } from "../queue/failpoint.ts";
import type { QueueStore } from "../queue/queue.ts";
import type { MessageEnd, MessageRow } from "../queue/work.ts";
import type { Bodies } from "./bodies.ts";
import type { Events } from "./events.ts";
import { Following } from "./following.ts";
import type { Job } from "./job.ts";
import type { Lane } from "./lane.ts";
import { Marks } from "./marks.ts";
import type { OutRecord } from "./out-record.ts";
import { type ChannelName, CONVICTED, isDying, type Lifetime, nextTry } from "./schedule.ts";
import type { Peer, Slot, Slots } from "./slot.ts";
import { isSuspect, Suspects } from "./suspects.ts";
import type { Window } from "./window.ts";

/** Most recipients on one remote slot. */
const SLOT_RECIPIENTS = 200;
/** Bytes a peer may leave unread before nothing more is sent to it. */
const PEER_BACKLOG = 4 << 20;
/** Seconds until a suspect that waits on disk is looked at again. */
const SUSPECT_WAIT = 10;
const CRASHES = "Each attempt to deliver this message stopped the mail system. (#5.3.0)\n";
const bodyTypes = ["7bit", "8bit", "binary"] as const;

export interface DispatchOptions {
  readonly window: Window;
  readonly queue: QueueStore;
  readonly bodies: Bodies;
  readonly events: Events;
  readonly failpoint: Failpoint;
  readonly out: OutRecord;
  readonly concurrency: Readonly<Record<ChannelName, number>>;
  readonly lifetime: () => Lifetime;
  /** Seconds. */
  now(): number;
  logStalled(): boolean;
  /** A mark could not be committed: make room. */
  markTrouble(): void;
  ended(end: MessageEnd): void;
  /** Local deliveries, by key, that will not come again. */
  settled(keys: readonly string[]): void;
  /** The address to show in a bounce, as its sender knew it. */
  unroute(address: string): string;
}

function prefixFor(message: MessageRow, recipient: string): string {
  return message.prefix === "" ? "" : new HeaderPrefix(message.prefix, "\n").fill(recipient);
}

export class Dispatch {
  private readonly o: DispatchOptions;
  private readonly following: Following;
  private readonly channels: Following["channels"];
  private readonly marks: Marks;
  private readonly suspects: Suspects;
  private scheduled = false;
  private stopping = false;
  private idle: (() => void) | undefined;

  constructor(options: DispatchOptions) {
    this.o = options;
    options.window.idleMessage = (id) => this.forget(id);
    this.marks = new Marks({
      queue: options.queue,
      released: (job, retryAt) => options.window.release(job, retryAt),
      ended: (end) => options.ended(end),
      settled: (keys) => options.settled(keys),
      trouble: (error) => {
        const what = "unable to mark deliveries; will try again, deliveries pause";
        options.events.alarm(what, error);
        options.markTrouble();
      },
      wake: () => this.wake(),
    });
    this.following = new Following({ ...options, marks: this.marks });
    this.channels = this.following.channels;
    this.suspects = new Suspects([this.channels.local, this.channels.remote]);
  }

  // ---- peers --------------------------------------------------------------------------------

  /** False when another connection has the work already. */
  attach(name: ChannelName, peer: Peer): boolean {
    const channel = this.channels[name];
    if (channel.peer) return false;
    channel.peer = peer;
    this.wake();
    return true;
  }

  /** The peer is gone: what it had is put back. */
  detach(name: ChannelName, peer: Peer): void {
    const channel = this.channels[name];
    if (channel.peer !== peer) return;
    channel.peer = undefined;
    channel.bodies.clear();
    const lost = `qmail-${name === "local" ? "lspawn" : "rspawn"}`;
    if (!this.stopping) this.following.accuse(channel, lost);
    this.following.putBack(channel, `${lost} went away. (#4.3.0)\n`);
    this.wake();
  }

  private forget(message: number): void {
    const { remote } = this.channels;
    this.o.bodies.forget(message);
    if (remote.bodies.delete(message)) remote.peer?.send({ type: "forget", message });
  }

  // ---- starting -----------------------------------------------------------------------------

  /** Look for work at the end of this turn. */
  wake(): void {
    if (this.scheduled) return;
    this.scheduled = true;
    setImmediate(() => {
      this.scheduled = false;
      this.turn();
    });
  }

  private turn(): void {
    const suspect = this.suspects.next();
    if (suspect) this.o.window.again(suspect);
    this.start(this.channels.local);
    this.start(this.channels.remote);
    if (this.following.changed) this.status();
    if (this.o.window.wantsPage) void this.o.window.page();
    this.marks.commit();
    this.o.out.flush();
    if (this.idle && this.quiet) this.idle();
  }

  status(): void {
    this.following.changed = false;
    const { local, remote } = this.channels;
    this.o.events.status(
      `${local.slots.length}/${local.limit}`,
      `${remote.slots.length}/${remote.limit}`,
      this.stopping,
    );
  }

  private mayStart(channel: Slots): boolean {
    return (
      !this.stopping &&
      !this.marks.troubled &&
      channel.slots.length < channel.limit &&
      channel.peer !== undefined &&
      channel.peer.backlogBytes < PEER_BACKLOG &&
      !this.o.logStalled()
    );
  }

  private start(channel: Slots): void {
    while (this.mayStart(channel)) {
      const lane = this.o.window.next(channel.name, channel.limit - channel.slots.length);
      if (!lane) return;
      if (channel.name === "remote") this.startRemote(channel, lane);
      else this.startLocal(channel, lane);
      this.o.window.check(lane);
      if (channel.name === "remote" && channel.slots.length === 1) this.leaveNow(channel);
    }
    const { peer } = channel;
    if (peer && peer !== channel.full && peer.backlogBytes >= PEER_BACKLOG) {
      void this.wait(channel, peer);
    }
  }

  /** Once for each time the peer is full, however often something else wakes us meanwhile. */
  private async wait(channel: Slots, peer: Peer): Promise<void> {
    channel.full = peer;
    await peer.drained();
    if (channel.full === peer) channel.full = undefined;
    this.wake();
  }

  /** The first slot after a pause: its connection is made while the next ones are put together. */
  private leaveNow(channel: Slots): void {
    this.o.out.flush();
    channel.peer?.flush();
  }

  /** A pass over the job begins: retry time and fate of failures are fixed now. */
  private begin(job: Job): void {
    if (job.started) return;
    job.clean = true;
    const now = this.o.now();
    job.retryAt = nextTry(job.message.born, now, job.row.site.startsWith("L") ? "local" : "remote");
    job.dying = isDying(job.message.born, now, this.o.lifetime());
  }

  private startRemote(channel: Slots, lane: Lane): void {
    const head = lane.shift();
    if (!head || this.mustWait(head)) return;
    const jobs: Job[] = [];
    const indexes: number[] = [];
    for (let job: Job | undefined = head; job; ) {
      this.begin(job);
      for (const index of job.todo) {
        jobs.push(job);
        indexes.push(index);
      }
      job.next = job.todo.length;
      job.running = job.todo.length;
      // Small jobs of the same message and site share the slot.
      const next = lane.peekOf(head.message.id);
      if (
        !next ||
        isSuspect(head) ||
        isSuspect(next) ||
        jobs.length + next.todo.length > SLOT_RECIPIENTS
      )
        break;
      job = lane.shift(head.message.id);
    }
    const slot = this.following.open(channel, lane.place, jobs, indexes);
    if (this.convicted(channel, slot)) return;
    const { message } = head;
    this.following.logStart(slot);
    this.withBody(channel, slot, message, () => {
      channel.peer?.send({
        type: "remote",
        message: message.id,
        token: this.o.bodies.token(message.id),
        sizeBytes: message.size,
        bodyType: bodyTypes[message.bodyType] ?? "8bit",
        sender: message.sender,
        prefix: message.prefix,
        first: slot.first,
        recipients: slot.jobs.map((job, at) => {
          const index = slot.indexes[at] as number;
          return {
            original: job.originals[index] as string,
            routed: job.routed[index] as string,
          };
        }),
      });
      this.o.failpoint.hit("deliver-sent");
    });
  }

  private startLocal(channel: Slots, lane: Lane): void {
    const job = lane.peek();
    if (!job) return;
    if (!job.started && isSuspect(job) && this.mustWait(job)) {
      lane.shift();
      return;
    }
    this.begin(job);
    const index = job.todo[job.next++] as number;
    job.running++;
    if (job.next >= job.todo.length) lane.shift();
    const slot = this.following.open(channel, lane.place, [job], [index]);
    if (this.convicted(channel, slot)) return;
    this.following.logStart(slot);
    const { message } = job;
    channel.peer?.send({
      type: "local",
      message: message.id,
      token: this.o.bodies.token(message.id),
      sizeBytes: message.size,
      sender: message.sender,
      delivery: slot.first,
      deliveryKey: job.deliveryKey(index),
      original: job.originals[index] as string,
      recipient: job.routed[index] as string,
      // Filled here: its secret is for nobody who only receives a copy.
      prefix: prefixFor(message, job.originals[index] as string),
    });
    this.o.failpoint.hit("deliver-sent");
  }

  /** Whether the job, taken from its lane, is one that may not start beside another. */
  private mustWait(job: Job): boolean {
    if (!isSuspect(job) || !this.suspects.isOneOut) return false;
    if (this.suspects.keep(job)) return true;
    job.next = job.todo.length;
    job.retryAt = this.o.now() + SUSPECT_WAIT;
    this.marks.passOver(job);
    return true;
  }

  /** What stopped the system again and again and is too old has no last attempt. */
  private convicted(channel: Slots, slot: Slot): boolean {
    const [job] = slot.jobs;
    if (!job?.dying || job.row.crashes < CONVICTED) return false;
    this.following.logStart(slot);
    slot.connected = undefined;
    slot.jobs.forEach((_, at) => {
      this.following.report(
        channel,
        { delivery: slot.first + at, verdict: "D", text: CRASHES },
        undefined,
      );
    });
    return true;
  }

  /** A small body goes ahead of the first slot of its message; a large one is fetched by token. */
  private withBody(channel: Slots, slot: Slot, message: MessageRow, then: () => void): void {
    if (message.size > SMALL_BODY || channel.bodies.has(message.id)) {
      then();
      return;
    }
    const { peer } = channel;
    const push = (bytes: Uint8Array): void => {
      if (channel.peer !== peer || !peer) return;
      if (!channel.bodies.has(message.id)) {
        channel.bodies.add(message.id);
        this.o.bodies.push(message.id, bytes, peer);
      }
      then();
    };
    const cached = this.o.bodies.cached(message.id);
    if (cached) {
      push(cached);
      return;
    }
    const failed = (error: unknown): void => {
      this.o.events.trouble(`unable to read msg ${message.id}`, error, "unable to read");
      if (channel.peer !== peer) return;
      this.following.putBackSlot(channel, slot, "Unable to read message. (#4.3.0)\n");
      this.wake();
    };
    this.o.bodies
      .whole(message.id)
      .then((bytes) => (bytes ? push(bytes) : failed("its body is missing")), failed);
  }

  /** Once a second or so. */
  tick(): void {
    this.following.tick();
    if (this.suspects.areWaiting) this.wake();
  }

  clockJumped(): void {
    this.following.clockJumped();
  }

  /** From a peer; a peer that is not (or no longer) attached is not believed. */
  reports(name: ChannelName, peer: Peer, reports: readonly Report[]): void {
    const channel = this.channels[name];
    if (channel.peer !== peer) return;
    const now = this.o.now();
    for (const report of reports) this.following.report(channel, report, now);
    this.wake();
  }

  // ---- stopping -----------------------------------------------------------------------------

  private get quiet(): boolean {
    return this.following.quiet && this.marks.quiet;
  }

  /** Nothing new starts; resolves when all that ran is settled or put back. */
  stop(): Promise<void> {
    this.stopping = true;
    this.status();
    const done = new Promise<void>((resolve) => {
      this.idle = resolve;
    });
    this.wake();
    return done;
  }

  /** What runs is put back, though nobody knows how it ends: it may arrive twice. */
  putBack(): void {
    for (const channel of [this.channels.local, this.channels.remote]) {
      this.following.putBack(channel, "qmail-send is stopping. (#4.3.0)\n");
    }
    this.wake();
  }
}
