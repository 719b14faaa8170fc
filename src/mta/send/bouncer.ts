/**
 * Messages whose recipients are all settled and some failed: composes the bounce and ends the
 * message, both in one transaction. What cannot be done now is tried again.
 */
import { SMALL_BODY } from "../channel/protocol.ts";
import type { Intake } from "../queue/intake.ts";
import type { Queue } from "../queue/queue.ts";
import { BOUNCING } from "../queue/states.ts";
import type { MessageRow, NewMessage } from "../queue/work.ts";
import type { Bodies } from "./bodies.ts";
import {
  type BounceControls,
  type BouncePlan,
  bounceBreak,
  bounceOpening,
  bouncePlan,
} from "./bounce.ts";
import type { Events } from "./events.ts";

/** qmail reference 0.2: retry after trouble inside qmail-send. */
const RETRY_MS = 123_000;
const PAGE = 500;

export interface BouncerOptions {
  readonly queue: Pick<Queue, "read" | "finish">;
  readonly intake: Intake;
  readonly bodies: Bodies;
  readonly events: Events;
  readonly controls: BounceControls;
  /** uid that stands in the log for our own mail. */
  readonly uid: number;
  now(): Date;
  /** The bounce is in todo. */
  accepted(message: NewMessage): void;
}

export class Bouncer {
  private readonly o: BouncerOptions;
  private readonly waiting: number[] = [];
  private running = false;
  private stopped = false;

  constructor(options: BouncerOptions) {
    this.o = options;
  }

  async load(): Promise<void> {
    for (let after = 0; ; ) {
      const ids = await this.o.queue.read({ kind: "state", state: BOUNCING, after, limit: 1000 });
      for (const id of ids) this.add(id);
      if (ids.length < 1000) return;
      after = ids.at(-1) as number;
    }
  }

  add(message: number): void {
    this.waiting.push(message);
    void this.run();
  }

  stop(): void {
    this.stopped = true;
  }

  private async run(): Promise<void> {
    if (this.running) return;
    this.running = true;
    for (let id = this.waiting.shift(); id !== undefined; id = this.waiting.shift()) {
      if (this.stopped) break;
      try {
        await this.bounce(id);
      } catch (error) {
        this.o.events.trouble("trouble injecting bounce message, will try later", error);
        const again = id;
        setTimeout(() => this.add(again), RETRY_MS).unref();
      }
    }
    this.running = false;
  }

  private async bounce(id: number): Promise<void> {
    const { queue, events, controls } = this.o;
    const [failed] = await queue.read({ kind: "messages", ids: [id] });
    if (!failed) return;
    const plan = bouncePlan(failed.sender, controls);
    if (plan.kind === "discard triple") events.tripleBounce(id);
    if (plan.kind === "discard double") events.discardedDoubleBounce(id);
    if (plan.kind === "single" || plan.kind === "double") await this.send(failed, plan);
    else await queue.finish(id, null);
    this.o.bodies.forget(id);
    events.endMessage(id);
  }

  private async send(
    failed: MessageRow,
    plan: BouncePlan & { kind: "single" | "double" },
  ): Promise<void> {
    const { intake, queue, bodies, events, controls } = this.o;
    const origin = {
      uid: this.o.uid,
      phrase: "for bounce",
      key: "",
      urgency: "reply" as const,
      prefix: "",
    };
    const incoming = intake.open(origin);
    try {
      const head = {
        kind: plan.kind,
        recipient: plan.recipient,
        id: incoming.id,
        now: this.o.now(),
        failedSender: failed.sender,
      };
      await incoming.addBody(Buffer.from(bounceOpening(head, controls)));
      for (let after = 0; ; ) {
        const page = await queue.read({ kind: "failures", message: failed.id, after, limit: PAGE });
        const text = page.map((failure) => failure.paragraph).join("");
        await incoming.addBody(Buffer.from(text));
        if (page.length < PAGE) break;
        after = page.at(-1)?.id ?? 0;
      }
      await incoming.addBody(Buffer.from(bounceBreak(head)));
      let room = controls.bouncemaxbytes > 0 ? controls.bouncemaxbytes : Number.POSITIVE_INFINITY;
      for await (const piece of bodies.pieces(failed.id)) {
        const part = Buffer.from(piece.subarray(0, Math.min(piece.length, room)));
        room -= part.length;
        await incoming.addBody(part);
        if (room > 0) continue;
        await incoming.addBody(Buffer.from("\n--- End of message stripped.\n"));
        break;
      }
      await incoming.addRecipients(Buffer.from(`${plan.recipient}\0`));
      const bounce = await incoming.message(plan.sender);
      await queue.finish(failed.id, bounce);
      incoming.end();
      events.bounce(failed.id, bounce.id);
      if (bounce.body && bounce.body.length <= SMALL_BODY) bodies.keep(bounce.id, bounce.body);
      this.o.accepted(bounce);
    } catch (error) {
      await incoming.abort();
      throw error;
    }
  }
}
