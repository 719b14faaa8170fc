/**
 * A local worker: takes deliveries for one uid from qmail-lspawn and runs them as that user, which it
 * is. They run side by side, but for those of lists: what works in this process for long has it to
 * itself, so that it holds up nothing and killing the worker ends nothing else. What does not fit now
 * goes back to qmail-lspawn unbegun.
 */
import { TemporaryError } from "../../lib/errors.ts";
import type { Report } from "../channel/protocol.ts";
import type { WorkerMessage } from "../channel/worker-messages.ts";
import type { BodyCache } from "./body-cache.ts";
import { BoundedOutput } from "./bounded-output.ts";
import {
  type DeliveryPlan,
  type DeliverySite,
  planDelivery,
  reportFailure,
  runDelivery,
} from "./delivery.ts";
import { DotQmailFiles } from "./dot-qmail-files.ts";
import type { Instruction } from "./instruction.ts";
import { localReport, OUTPUT_LIMIT } from "./report.ts";

type Run = Extract<WorkerMessage, { type: "run" }>;

/** Time limit of one delivery, shorter than the one of qmail-lspawn so that a report gets out. */
export const DELIVERY_SECONDS = 3500;

/** For deliveries without programs: nothing else can be aborted. */
const never = new AbortController().signal;

export interface WorkerContext {
  readonly site: DeliverySite;
  readonly bodies: BodyCache;
  readonly defaultDelivery: string;
  /** Whether a program line works in this process for long. */
  needsWorker(line: string): boolean;
  send(message: WorkerMessage): void;
  /** Everything told to stop has ended. */
  stopped(): void;
}

const isFile = ({ kind }: Instruction): boolean => kind === "maildir" || kind === "mbox";

export class Worker {
  private readonly context: WorkerContext;
  /** With what aborts their programs, where they have any. */
  private readonly running = new Map<number, AbortController | undefined>();
  private readonly files: DotQmailFiles;
  /** Of this turn, by home and .qmail extension. */
  private readonly plans = new Map<string, DeliveryPlan>();
  /** Of this turn. */
  private reports: Report[] = [];
  /** One runs that has the worker to itself. */
  private taken = false;
  private stopping = false;

  constructor(context: WorkerContext) {
    this.context = context;
    this.files = new DotQmailFiles(() => context.site.now());
  }

  receive(message: WorkerMessage): void {
    if (message.type === "run") this.start(message);
    if (message.type === "stop") {
      this.stopping = true;
      this.stopWhenIdle();
    }
  }

  /** End every program that runs. */
  abort(): void {
    for (const controller of this.running.values()) controller?.abort();
  }

  private start(run: Run): void {
    const { delivery } = run;
    if (this.taken || this.stopping) {
      this.context.send({ type: "back", delivery, alone: false });
      return;
    }
    let plan: DeliveryPlan;
    try {
      plan = this.plan(run);
    } catch (error) {
      const output = new BoundedOutput(OUTPUT_LIMIT + 1);
      const code = reportFailure(error, output);
      this.report(localReport(delivery, code, output.bytes()));
      return;
    }
    const alone = plan.hasProgram && !run.asCommand && this.needsWorker(plan);
    if (alone && this.running.size > 0) {
      this.context.send({ type: "back", delivery, alone });
      return;
    }
    if (plan.hasProgram) this.context.send({ type: "program", delivery, alone });
    this.taken = alone;
    const controller = plan.hasProgram ? new AbortController() : undefined;
    this.running.set(delivery, controller);
    void this.deliver(run, plan, controller).then((report) => {
      this.running.delete(delivery);
      this.taken = false;
      this.report(report);
      this.stopWhenIdle();
    });
  }

  private needsWorker({ instructions }: DeliveryPlan): boolean {
    return instructions.some((i) => i.kind === "program" && this.context.needsWorker(i.command));
  }

  /** Deliveries that came in one turn share what they find, where it is files alone: one look at the home. */
  private plan(run: Run): DeliveryPlan {
    const { local, host: domain, sender, user } = run;
    const { home, dash, ext } = user;
    const address = { user: user.user, home, dash, ext, local, domain, sender };
    const key = `${home}\0${dash}\0${ext}`;
    const known = this.plans.get(key);
    if (known) return { ...known, address, newSender: sender };
    const plan = planDelivery(address, this.context.defaultDelivery, { files: this.files });
    if (plan.failure === undefined && plan.instructions.every(isFile)) {
      if (this.plans.size === 0) setImmediate(this.forgetPlans);
      this.plans.set(key, plan);
    }
    return plan;
  }

  private readonly forgetPlans = (): void => {
    this.plans.clear();
  };

  private report(report: Report): void {
    if (this.reports.length === 0) setImmediate(this.sendReports);
    this.reports.push(report);
  }

  private readonly sendReports = (): void => {
    if (this.reports.length === 0) return;
    this.context.send({ type: "results", reports: this.reports });
    this.reports = [];
  };

  /** Never rejects. */
  private async deliver(
    run: Run,
    plan: DeliveryPlan,
    controller: AbortController | undefined,
  ): Promise<Report> {
    const output = new BoundedOutput(OUTPUT_LIMIT + 1);
    const { bodies, site } = this.context;
    const timer = controller && setTimeout(() => controller.abort(), DELIVERY_SECONDS * 1000);
    try {
      const body = await bodies.take(run.message, run.token, run.sizeBytes);
      let message = body;
      try {
        if (run.prefix !== "") message = await body.prefixed(Buffer.from(run.prefix, "latin1"));
        const code = await runDelivery(plan, {
          site: run.asCommand ? { ...site, findProgram: undefined } : site,
          message,
          output,
          errors: output,
          signal: controller?.signal ?? never,
          deliveryKey: run.deliveryKey,
          dryRun: false,
        });
        return localReport(run.delivery, code, output.bytes());
      } finally {
        if (message !== body) message.close();
        bodies.release(run.message);
      }
    } catch (error) {
      const why = new TemporaryError("Unable to read message. (#4.3.0)", { cause: error });
      const code = reportFailure(why, output);
      return localReport(run.delivery, code, output.bytes());
    } finally {
      clearTimeout(timer);
    }
  }

  private stopWhenIdle(): void {
    if (!this.stopping || this.running.size > 0) return;
    this.sendReports();
    this.context.stopped();
  }
}
