/**
 * A worker as qmail-lspawn sees it: the process, its channel, the deliveries it holds and how long it
 * has been silent. Whatever ends it, every delivery it held comes back through `lost`.
 */
import { type ChildProcess, spawn } from "node:child_process";
import type { Duplex } from "node:stream";
import { profileArguments } from "../../lib/profile.ts";
import { Channel } from "../channel/channel.ts";
import { PROTOCOL_VERSION, type Report } from "../channel/protocol.ts";
import { readWorker, type WorkerMessage, writeWorker } from "../channel/worker-messages.ts";
import { nodeFlags, type WorkerLimits } from "./limits.ts";

export type Run = Extract<WorkerMessage, { type: "run" }>;

/** How to start workers. */
export interface WorkerStart {
  readonly node: string;
  /** `dist/local-worker.entry.cjs` */
  readonly entry: string;
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Whether uid and gid can be set: we are root. */
  readonly setsIds: boolean;
  readonly welcome: Omit<Extract<WorkerMessage, { type: "welcome" }>, "capability" | "type">;
}

export interface WorkerEvents {
  ready(): void;
  /** `runs`: what they are of. */
  results(reports: Report[], runs: Run[]): void;
  /** It has program lines; `alone`: the worker is its own. */
  program(run: Run, alone: boolean): void;
  /** Not begun; `alone`: it needs a worker of its own. */
  back(run: Run, alone: boolean): void;
  /** Once, at the end; `runs` got no result. `suspects`: those of them that may have been the reason. */
  lost(runs: Run[], suspects: Run[]): void;
}

export class WorkerProcess {
  readonly runs = new Map<number, { run: Run; since: number }>();
  /** The delivery that has the worker to itself, or was sent to. */
  occupant: Run | undefined;
  /** Deliveries with program lines beside others, by number. */
  readonly programs = new Set<number>();
  /** When the last delivery ended, for the idle limit. */
  idleSince: number;
  ready = false;
  /** When it became ready. */
  readyAt = 0;
  ending = false;
  private readonly child: ChildProcess;
  private readonly channel: Channel<WorkerMessage, WorkerMessage>;
  private readonly events: WorkerEvents;
  private readonly now: () => number;
  private heardAt: number;
  isDismissed = false;
  private exited = false;
  private over = false;

  constructor(
    start: WorkerStart,
    identity: { uid: number; gid: number },
    capability: Buffer,
    limits: WorkerLimits,
    now: () => number,
    events: WorkerEvents,
  ) {
    this.events = events;
    this.now = now;
    this.heardAt = now();
    this.idleSince = this.heardAt;
    // setgroups(0), setgid, setuid: exactly one group remains.
    const ids = start.setsIds ? { uid: identity.uid, gid: identity.gid } : {};
    const flags = [...nodeFlags(limits), ...profileArguments(start.env)];
    this.child = spawn(start.node, [...flags, start.entry], {
      ...ids,
      cwd: "/",
      env: start.env,
      stdio: ["ignore", "ignore", "inherit", "pipe"],
    });
    const stream = this.child.stdio?.[3] as Duplex | undefined;
    if (!stream) {
      this.child.on("error", () => {});
      throw new Error("no descriptors left for a worker");
    }
    this.child.on("error", () => this.kill());
    this.child.on("exit", () => {
      this.exited = true;
      this.finish();
    });
    this.channel = new Channel(stream, writeWorker, readWorker, {
      message: (message) => this.receive(message),
      closed: () => {
        if (!this.isDismissed) this.kill();
      },
    });
    this.channel.send({ type: "welcome", capability, ...start.welcome, version: PROTOCOL_VERSION });
  }

  get pid(): number | undefined {
    return this.child.pid;
  }

  /** Program lines run in it, which may take long. */
  get isHeld(): boolean {
    return this.occupant !== undefined || this.programs.size > 0;
  }

  run(run: Run): void {
    this.runs.set(run.delivery, { run, since: this.now() });
    this.channel.send(run);
  }

  /** No new work; it leaves when it has finished. */
  stop(): void {
    this.ending = true;
    this.channel.send({ type: "stop" });
  }

  /** It ends its programs when nobody is there any more. */
  dismiss(): void {
    this.ending = true;
    this.isDismissed = true;
    this.channel.destroy();
  }

  kill(): void {
    this.ending = true;
    this.child.kill("SIGKILL");
    // A child that could not be started has no exit to wait for.
    if (this.child.pid === undefined) this.exited = true;
    this.finish();
  }

  /** Kill it when it is silent or a delivery is over its time. */
  check(limits: WorkerLimits): void {
    const now = this.now();
    const silent = now - this.heardAt > (this.ready ? limits.silenceMs : limits.startMs);
    const late = [...this.runs.values()].some(({ since }) => now - since > limits.deadlineMs);
    if (silent || late) this.kill();
  }

  private receive(message: WorkerMessage): void {
    this.heardAt = this.now();
    switch (message.type) {
      case "ready":
        this.ready = true;
        this.readyAt = this.heardAt;
        this.events.ready();
        break;
      case "results": {
        const known: Report[] = [];
        const runs: Run[] = [];
        for (const report of message.reports) {
          const run = this.take(report.delivery);
          if (!run) continue;
          known.push(report);
          runs.push(run);
        }
        if (known.length > 0) this.events.results(known, runs);
        break;
      }
      case "program": {
        const run = this.runs.get(message.delivery)?.run;
        if (!run) break;
        if (message.alone) this.occupant = run;
        else this.programs.add(message.delivery);
        this.events.program(run, message.alone);
        break;
      }
      case "back": {
        const run = this.take(message.delivery);
        if (run) this.events.back(run, message.alone);
        break;
      }
      case "heartbeat":
        break;
      default:
        // A worker is a lesser process: what it may not say ends it.
        this.kill();
    }
  }

  private take(delivery: number): Run | undefined {
    const run = this.runs.get(delivery)?.run;
    this.runs.delete(delivery);
    this.programs.delete(delivery);
    if (run && this.occupant === run) this.occupant = undefined;
    if (this.runs.size === 0) this.idleSince = this.now();
    return run;
  }

  /** Dead, and everything it said is read: a result may still be on its way when it exits. */
  private finish(): void {
    if (this.over || !this.exited || !this.channel.closed) return;
    this.over = true;
    const left = [...this.runs.values()].map(({ run }) => run);
    const suspects = left.filter((run) => run === this.occupant || this.programs.has(run.delivery));
    this.runs.clear();
    this.events.lost(left, suspects);
  }
}
