/**
 * One client of `queue/intake` or `queue/deliver`: frames become arrows. Its capability, not its
 * words, says who it is. Whoever breaks the protocol or its credit is closed; what it had not
 * committed is forgotten.
 */

import type { Socket } from "node:net";
import { Channel } from "../channel/channel.ts";
import { BODY_CHUNK, CREDIT_WINDOW, PROTOCOL_VERSION } from "../channel/protocol.ts";
import {
  carriedBytes,
  type QueueMessage,
  readQueue,
  unfold,
  type WholeMail,
  writeQueue,
} from "../channel/queue-messages.ts";
import type { IncomingMessage } from "../queue/incoming-message.ts";
import type { Intake, Origin } from "../queue/intake.ts";
import type { IntakeAnswer } from "../queue/intake-answer.ts";
import type { Bodies } from "./bodies.ts";
import type { Dispatch } from "./dispatch.ts";
import type { Capabilities, Standing } from "./peers.ts";

/** Submissions one client may have open. */
const SESSIONS_PER_CLIENT = 1024;
const HELLO_MS = 30_000;
/** How long a local delivery that follows another one waits for company. */
const LOCAL_GATHER_MS = 2;

export interface SessionContext {
  readonly capabilities: Capabilities;
  readonly intake: Intake;
  readonly bodies: Bodies;
  readonly dispatch: Dispatch;
  /** `from network`, `by uid 7`, … for mail of this peer. */
  phrase(standing: Standing): string;
  /** Intake is behind: credit waits until it has caught up. */
  slow(): Promise<void> | undefined;
  /** The body of a message cannot be read. */
  unreadable(message: number, error: unknown): void;
  /** A peer that had work is gone. */
  lost(standing: Standing): void;
}

type Refusal = NonNullable<IncomingMessage["refusal"]>;

interface Submission {
  readonly message: IncomingMessage;
  /** Bytes the client may send before it gets credit. */
  window: number;
  /** Bytes taken and not yet credited. */
  owed: number;
  committing: boolean;
}

export class Session {
  readonly channel: Channel<QueueMessage, QueueMessage>;
  private readonly context: SessionContext;
  private readonly socket: Socket;
  private standing: Standing | undefined;
  /** Deliveries go over this connection. */
  private works = false;
  private readonly submissions = new Map<number, Submission>();
  /** Small mails that came whole and are on their way to the disk. */
  private taken = 0;
  private readonly issued: Buffer[] = [];
  private fetching: Promise<void> = Promise.resolve();
  /** Bodies that wait in `fetching`, with the one under way. */
  private fetches = 0;
  private readonly closed: () => void;

  constructor(socket: Socket, context: SessionContext, closed: () => void) {
    this.context = context;
    this.socket = socket;
    this.closed = closed;
    const timer = setTimeout(() => socket.destroy(), HELLO_MS);
    socket.once("close", () => clearTimeout(timer));
    this.channel = new Channel<QueueMessage, QueueMessage>(socket, writeQueue, readQueue, {
      message: (message) => {
        if (this.standing) this.received(message, this.standing);
        else if (message.type === "hello") this.hello(message, timer);
        else this.violation();
      },
      closed: () => this.gone(),
    });
  }

  /** Whether a commit is on its way. */
  get busy(): boolean {
    if (this.taken > 0) return true;
    for (const submission of this.submissions.values()) if (submission.committing) return true;
    return false;
  }

  private violation(): void {
    this.socket.destroy();
  }

  private hello(message: QueueMessage & { type: "hello" }, timer: NodeJS.Timeout): void {
    const standing = this.context.capabilities.find(message.capability);
    if (message.version !== PROTOCOL_VERSION || !standing) {
      this.violation();
      return;
    }
    clearTimeout(timer);
    this.standing = standing;
    this.channel.send({ type: "welcome", version: PROTOCOL_VERSION });
    const { role } = standing;
    // A second connection of the same process is for bodies: work stays where it is.
    if (role === "remote" || role === "local") {
      this.works = this.context.dispatch.attach(role, this.channel);
      if (role === "local") this.channel.gather(LOCAL_GATHER_MS);
    }
  }

  private gone(): void {
    for (const { message, committing } of this.submissions.values()) {
      if (!committing) void message.abort();
    }
    this.submissions.clear();
    for (const capability of this.issued) this.context.capabilities.withdraw(capability);
    const { standing } = this;
    if (this.works && (standing?.role === "remote" || standing?.role === "local")) {
      this.context.lost(standing);
      this.context.dispatch.detach(standing.role, this.channel);
    }
    this.closed();
  }

  private received(m: QueueMessage, standing: Standing): void {
    switch (m.type) {
      case "mail":
        this.take(m, standing);
        return;
      case "open":
        this.open(m, standing);
        return;
      case "body":
        this.give(m.session, m.bytes.length, (message) => message.addBody(Buffer.from(m.bytes)));
        return;
      case "recipients":
        this.give(m.session, m.packed.length, (message) =>
          message.addRecipients(Buffer.from(m.packed)),
        );
        return;
      case "sender":
        this.submissions.get(m.session)?.message.setSender(m.address);
        return;
      case "commit":
        void this.commit(m.session);
        return;
      case "abort": {
        const submission = this.submissions.get(m.session);
        if (!submission || submission.committing) return;
        this.submissions.delete(m.session);
        void submission.message.abort();
        return;
      }
      case "fetch":
        this.fetch(m.message, m.token);
        return;
      case "reports":
        if (standing.role === "remote" || standing.role === "local") {
          this.context.dispatch.reports(standing.role, this.channel, m.reports);
        } else this.violation();
        return;
      case "worker":
        if (standing.role !== "local") {
          this.violation();
          return;
        }
        this.context.capabilities.announce(m.capability, { role: "worker", uid: m.uid });
        this.issued.push(m.capability);
        this.channel.send({ type: "announced", capability: m.capability });
        return;
      default:
        this.violation();
    }
  }

  private mayOpen(session: number): boolean {
    const open = this.submissions.size + this.taken;
    return open < SESSIONS_PER_CLIENT && !this.submissions.has(session);
  }

  private origin(asked: WholeMail | (QueueMessage & { type: "open" }), standing: Standing): Origin {
    const { key, prefix } = asked;
    const phrase = this.context.phrase(standing);
    // A stranger on the wire does not choose: what smtpd hands in is ordinary mail.
    const urgency = standing.role === "smtpd" ? "normal" : asked.urgency;
    return { uid: standing.uid, phrase, key, urgency, prefix };
  }

  /** Most mail: nothing to wait for before its commit. */
  private take(mail: WholeMail, standing: Standing): void {
    if (!this.mayOpen(mail.session) || carriedBytes(mail) > BODY_CHUNK) {
      this.violation();
      return;
    }
    const { intake, slow } = this.context;
    const answer = slow() ? undefined : intake.take(this.origin(mail, standing), mail);
    if (!answer) {
      for (const message of unfold(mail)) this.received(message, standing);
      return;
    }
    this.taken++;
    void answer.then((said) => {
      this.taken--;
      this.answer(mail.session, said);
    });
  }

  private open(opening: QueueMessage & { type: "open" }, standing: Standing): void {
    const { session } = opening;
    if (!this.mayOpen(session)) {
      this.violation();
      return;
    }
    const message = this.context.intake.open(this.origin(opening, standing));
    this.submissions.set(session, { message, window: CREDIT_WINDOW, owed: 0, committing: false });
  }

  /** Take bytes, and give credit back when they are out of memory. */
  private give(
    session: number,
    bytes: number,
    take: (message: IncomingMessage) => Promise<void> | undefined,
  ): void {
    const submission = this.submissions.get(session);
    if (!submission) return; // refused or aborted while these bytes were under way
    submission.window -= bytes;
    if (submission.committing || submission.window < 0) {
      this.violation();
      return;
    }
    const written = take(submission.message);
    if (!written) {
      this.credit(session, submission, bytes);
      return;
    }
    void written.then(() => {
      const { refusal } = submission.message;
      if (refusal) this.refuse(session, submission, refusal);
      else this.credit(session, submission, bytes);
    });
  }

  /** Before its commit: the disk takes no more, so nobody needs to send the rest. */
  private refuse(session: number, submission: Submission, refusal: Refusal): void {
    if (submission.committing || this.submissions.get(session) !== submission) return;
    this.submissions.delete(session);
    void submission.message.abort();
    this.answer(session, { accepted: false, ...refusal });
  }

  private credit(session: number, submission: Submission, bytes: number): void {
    submission.owed += bytes;
    if (submission.owed < CREDIT_WINDOW / 4) return;
    const give = (): void => {
      const { owed } = submission;
      if (owed === 0) return;
      submission.owed = 0;
      submission.window += owed;
      this.channel.send({ type: "credit", session, bytes: owed });
    };
    const slow = this.context.slow();
    if (slow) void slow.then(give);
    else give();
  }

  private async commit(session: number): Promise<void> {
    const submission = this.submissions.get(session);
    if (!submission || submission.committing) {
      if (submission) this.violation();
      return;
    }
    submission.committing = true;
    await this.context.slow();
    const answer = await submission.message.commit();
    this.submissions.delete(session);
    this.answer(session, answer);
  }

  private answer(session: number, answer: IntakeAnswer): void {
    if (answer.accepted) this.channel.send({ type: "accepted", session, id: answer.id });
    else {
      const { verdict, text } = answer;
      this.channel.send({ type: "refused", session, verdict, text });
    }
  }

  /** One body after the other, so that a peer that asks for many gets no more memory than one. */
  private fetch(message: number, token: Buffer): void {
    const { bodies } = this.context;
    if (this.standing?.role === "smtpd" || !bodies.allows(message, token)) {
      this.violation();
      return;
    }
    const cached = bodies.cached(message);
    if (cached && this.fetches === 0 && this.channel.backlogBytes < BODY_CHUNK) {
      bodies.push(message, cached, this.channel);
      return;
    }
    this.fetches++;
    this.fetching = this.fetching.then(async () => {
      try {
        await bodies.serve(message, this.channel);
      } catch (error) {
        this.context.unreadable(message, error);
        // Half a body must not be taken for a whole one: the peer's work comes back instead.
        this.violation();
      }
      this.fetches--;
    });
  }
}
