/** Every log line of qmail-send, one function each. qmail reference 7.6. */
import { causeText } from "../../lib/errors.ts";
import { logSafe } from "../../lib/log.ts";
import { Telltale } from "../../lib/telltale.ts";
import type { MessageRow } from "../queue/work.ts";

export interface LogSink {
  line(text: string): void;
}

export class Events {
  private readonly log: LogSink;
  /** A peer says the same to everybody: its text is made safe once. */
  private said = "";
  private safe = "";
  private readonly telltale = new Telltale();

  constructor(log: LogSink) {
    this.log = log;
  }

  status(local: string, remote: string, exiting: boolean): void {
    this.log.line(`status: local ${local} remote ${remote}${exiting ? " exitasap" : ""}`);
  }

  exiting(): void {
    this.log.line("status: exiting");
  }

  newMessage(message: MessageRow): void {
    const { id, size, sender, uid } = message;
    this.log.line(`new msg ${id}`);
    this.log.line(`info msg ${id}: bytes ${size} from <${logSafe(sender)}> qp ${id} uid ${uid}`);
  }

  starting(delivery: number, message: number, channel: string, recipient: string): void {
    this.log.line(
      `starting delivery ${delivery}: msg ${message} to ${channel} ${logSafe(recipient)}`,
    );
  }

  success(delivery: number, text: string): void {
    if (text !== this.said) {
      this.said = text;
      this.safe = logSafe(text);
    }
    this.log.line(`delivery ${delivery}: success: ${this.safe}`);
  }

  failure(delivery: number, text: string): void {
    this.log.line(`delivery ${delivery}: failure: ${logSafe(text)}`);
  }

  deferral(delivery: number, text: string): void {
    this.log.line(`delivery ${delivery}: deferral: ${logSafe(text)}`);
  }

  bounce(message: number, bounce: number): void {
    this.log.line(`bounce msg ${message} qp ${bounce}`);
  }

  tripleBounce(message: number): void {
    this.log.line(`triple bounce: discarding bounce/${message}`);
  }

  discardedDoubleBounce(message: number): void {
    this.log.line(`double bounce: discarding bounce/${message}`);
  }

  /** Delivering it may be what kills a process of ours. */
  suspect(
    { message, site }: { message: number; site: string },
    crashes: number,
    lost: string,
  ): void {
    this.warning(
      `msg ${message} to ${logSafe(site.slice(1))} was out when ${lost} died, ${crashes} times now; no other suspect runs beside it`,
    );
  }

  endMessage(message: number): void {
    this.log.line(`end msg ${message}`);
  }

  /** `text` is ours; what it quotes was made safe by the caller. */
  alert(text: string): void {
    this.log.line(`alert: ${text}`);
  }

  warning(text: string): void {
    this.log.line(`warning: ${text}`);
  }

  /**
   * `warning: WHAT: WHY`, with the causes of `error`. The same trouble is told once a minute; `kind` is what makes it
   * the same where `what` names one message of many.
   */
  trouble(what: string, error: unknown, kind = what): void {
    this.tell("warning", what, error, kind);
  }

  /** The same, where mail stands still until somebody helps. */
  alarm(what: string, error: unknown): void {
    this.tell("alert", what, error, what);
  }

  private tell(level: string, what: string, error: unknown, kind: string): void {
    const why = causeText(error).replace(/[^\x20-\x7e]/g, "_");
    if (this.telltale.isNew(`${kind}: ${why}`)) this.log.line(`${level}: ${what}: ${why}`);
  }

  /** A file in the drop directory that is not one of ours. */
  badDrop(name: string, uid: number, why: string): void {
    this.log.line(`warning: drop file ${logSafe(name)} of uid ${uid} removed: ${why}`);
  }
}
