/**
 * One local delivery, from address to exit code: the heart of qmail-local. Runs as the user. Lines run
 * in file order and the first failure ends it; forwards go out last, in one message, so that an earlier
 * failure forwards nothing. On a retry all lines run again. qmail reference 4.1, 4.3, 4.4.
 */
import { resolve } from "node:path";
import { errorText, PermanentError, TemporaryError } from "../../lib/errors.ts";
import {
  commandVerdict,
  type ExitCode,
  PERMANENT,
  SUCCESS,
  TEMPORARY,
} from "../../lib/exit-code.ts";
import type { Environment, ExitStatus, Output } from "../../lib/program.ts";
import { type CommandSite, keyedDoor, runLine } from "./command.ts";
import {
  commandEnvironment,
  deliveredTo,
  fromLine,
  guardEnvironment,
  type LocalAddress,
  returnPath,
} from "./command-env.ts";
import { checkHome, findDotQmail, forwardSender } from "./dot-qmail.ts";
import { DotQmailFiles } from "./dot-qmail-files.ts";
import { type Instruction, parseInstructions } from "./instruction.ts";
import { headerHasLine } from "./loop.ts";
import type { MaildirWriter } from "./maildir.ts";
import { deliverMbox } from "./mbox.ts";
import type { StoredMessage } from "./stored-message.ts";

/** What deliveries of one process share. */
export interface DeliverySite extends CommandSite {
  /** The environment commands inherit. */
  readonly env: Environment;
  readonly maildirs: MaildirWriter;
}

/** What will be done for an address, decided from its .qmail file alone. */
export interface DeliveryPlan {
  readonly address: LocalAddress;
  readonly instructions: readonly Instruction[];
  /** Part of the address that `default` in the file name stands for. */
  readonly default: string | undefined;
  readonly newSender: string;
  readonly warning: string | undefined;
  /** Why there is nothing to do; thrown after the loop check. */
  readonly failure: unknown;
  /** Whether a program line may run. */
  readonly hasProgram: boolean;
}

export interface DeliveryRun {
  readonly site: DeliverySite;
  readonly message: StoredMessage;
  /** The report, and where troubles go: in a worker the same. */
  readonly output: Output;
  readonly errors: Output;
  readonly signal: AbortSignal;
  readonly deliveryKey: string | undefined;
  /** Print what would be done. */
  readonly dryRun: boolean;
}

export interface PlanOptions {
  readonly dryRun?: boolean;
  /** What is known of .qmail files from earlier deliveries. */
  readonly files?: DotQmailFiles;
}

/** Throws for a home that must not be touched; other trouble waits in `failure`. */
export function planDelivery(
  address: LocalAddress,
  defaultDelivery: string,
  options: PlanOptions = {},
): DeliveryPlan {
  const { dryRun = false, files = new DotQmailFiles(() => new Date()) } = options;
  const warning = checkHome(address.home, dryRun);
  const nothing = { instructions: [], default: undefined, newSender: "", hasProgram: false };
  try {
    const file = findDotQmail(address.home, address.dash, address.ext, files);
    const instructions =
      file.text.length > 0
        ? parseInstructions(file.text, file.forwardOnly)
        : parseInstructions(Buffer.from(defaultDelivery));
    const hasProgram = instructions.some(({ kind }) => kind === "program");
    const sends = hasProgram || instructions.some(({ kind }) => kind === "forward");
    return {
      address,
      instructions,
      default: file.default,
      newSender: sends ? forwardSender(address.home, address) : address.sender,
      warning,
      failure: undefined,
      hasProgram,
    };
  } catch (failure) {
    return { address, warning, failure, ...nothing };
  }
}

/** Run a plan to its exit code; says why it failed on `run.errors`. Never throws. */
export async function runDelivery(plan: DeliveryPlan, run: DeliveryRun): Promise<ExitCode> {
  try {
    await new Delivery(plan, run).run();
    return SUCCESS;
  } catch (error) {
    return reportFailure(error, run.errors);
  }
}

/** The text and exit code of an error that ends a delivery. */
export function reportFailure(error: unknown, errors: Output): ExitCode {
  if (error instanceof ProgramFailure) return error.exitCode;
  const known = error instanceof PermanentError || error instanceof TemporaryError;
  errors.write(known ? `${error.message}\n` : `qmail-local bug: ${errorText(error)}. (#4.3.0)\n`);
  return known ? error.exitCode : TEMPORARY;
}

/** A program line failed and has said itself why. */
class ProgramFailure extends Error {
  readonly exitCode: ExitCode;
  constructor(exitCode: ExitCode) {
    super("program failed");
    this.exitCode = exitCode;
  }
}

class Delivery {
  private readonly plan: DeliveryPlan;
  private readonly context: DeliveryRun;
  private readonly now: Date;
  private readonly deliveredTo: string;
  private readonly forwards: string[] = [];
  private files = 0;
  private programs = 0;
  private variables: Environment | undefined;

  constructor(plan: DeliveryPlan, context: DeliveryRun) {
    this.plan = plan;
    this.context = context;
    this.now = context.site.now();
    this.deliveredTo = deliveredTo(plan.address);
  }

  async run(): Promise<void> {
    const { plan, context } = this;
    if (plan.warning) context.errors.write(`${plan.warning}\n`);
    if (!context.dryRun) await this.checkLoop();
    if (plan.failure) throw plan.failure;
    for (const instruction of plan.instructions) {
      if (!(await this.obey(instruction))) break;
    }
    const id = this.forwards.length > 0 && !context.dryRun ? await this.forward() : undefined;
    context.output.write(`did ${this.files}+${this.forwards.length}+${this.programs}\n`);
    if (id !== undefined) context.output.write(`qp ${id}\n`);
  }

  private async checkLoop(): Promise<void> {
    if (await headerHasLine(this.context.message, this.deliveredTo)) {
      throw new PermanentError(
        "This message is looping: it already has my Delivered-To line. (#5.4.6)",
      );
    }
  }

  /** False: stop reading, with success. */
  private async obey(instruction: Instruction): Promise<boolean> {
    if (this.context.dryRun) return this.describe(instruction);
    const { address } = this.plan;
    switch (instruction.kind) {
      case "maildir": {
        this.files++;
        const lead = Buffer.from(returnPath(address) + this.deliveredTo);
        const directory = resolve(address.home, instruction.path);
        await this.context.site.maildirs.deliver(directory, lead, this.context.message);
        return true;
      }
      case "mbox": {
        this.files++;
        const first = fromLine(address, this.now);
        const lead = Buffer.from(first + returnPath(address) + this.deliveredTo);
        const path = resolve(address.home, instruction.path);
        await deliverMbox(path, lead, this.context.message);
        return true;
      }
      case "program":
        this.programs++;
        return this.runProgramLine(instruction.command, instruction.line);
      case "forward":
        this.forwards.push(instruction.address);
        return true;
      case "refused":
        throw new TemporaryError(instruction.text);
      default:
        return instruction satisfies never;
    }
  }

  private describe(instruction: Instruction): boolean {
    const { output } = this.context;
    switch (instruction.kind) {
      case "maildir":
      case "mbox":
        this.files++;
        output.write(`${instruction.kind} ${instruction.path}\n`);
        return true;
      case "program":
        this.programs++;
        output.write(`program ${instruction.command}\n`);
        return true;
      case "forward":
        this.forwards.push(instruction.address);
        output.write(`forward ${instruction.address}\n`);
        return true;
      case "refused":
        throw new TemporaryError(instruction.text);
      default:
        return instruction satisfies never;
    }
  }

  /** The same for every program line; a program gets a copy. */
  private environment(): Environment {
    if (this.variables) return this.variables;
    const { address, newSender, default: defaultPart } = this.plan;
    const variables = commandEnvironment(address, newSender, defaultPart, this.now);
    const env = { ...this.context.site.env, ...variables };
    guardEnvironment(env);
    this.variables = env;
    return env;
  }

  private async runProgramLine(line: string, instruction: number): Promise<boolean> {
    const env = this.environment();
    const { site, message, output, errors, signal, deliveryKey } = this.context;
    const cwd = this.plan.address.home;
    let status: ExitStatus;
    try {
      const context = { site, env, cwd, message, output, errors, signal, deliveryKey };
      status = await runLine(line, { ...context, instruction });
    } catch (error) {
      if (error instanceof TemporaryError || error instanceof PermanentError) throw error;
      const text = `Unable to run /bin/sh: ${errorText(error)}. (#4.3.0)`;
      throw new TemporaryError(text, { cause: error });
    }
    if (status.signal !== undefined) throw new TemporaryError("Aack, child crashed. (#4.3.0)");
    switch (commandVerdict(status.code)) {
      case "continue":
        return true;
      case "stop":
        return false;
      case "permanent":
        throw new ProgramFailure(PERMANENT);
      case "temporary":
        throw new ProgramFailure(TEMPORARY);
    }
  }

  /** Delivered-To and the message, from NEWSENDER, to all forwards at once. */
  private async forward(): Promise<string> {
    const { site, message, deliveryKey } = this.context;
    const prefix = deliveryKey === undefined ? undefined : `${deliveryKey}/0`;
    const submission = keyedDoor(site.queue, prefix).open({ key: "forward" });
    try {
      submission.put(this.deliveredTo);
      for await (const chunk of message.chunks()) {
        submission.put(chunk);
        if (submission.full) await submission.drained();
      }
      submission.from(this.plan.newSender);
      for (const address of this.forwards) submission.to(address);
      return (await submission.commit()).id;
    } catch (error) {
      submission.abort();
      const text = `Unable to forward message: ${errorText(error)}.`;
      if (error instanceof PermanentError) throw new PermanentError(text, { cause: error });
      throw new TemporaryError(text, { cause: error });
    }
  }
}
