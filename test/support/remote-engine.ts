/** An Engine against sinks on 127.0.0.1, with everything it needs in one call; cleaned up by `stop`. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { DnsResolver } from "../../src/lib/dns.ts";
import { HeaderPrefix } from "../../src/lib/header-prefix.ts";
import type { RemoteControls } from "../../src/mta/remote/controls.ts";
import { Engine, type EngineLimits, engineLimits } from "../../src/mta/remote/engine.ts";
import { TimeoutFile } from "../../src/mta/remote/tcpto.ts";
import type { Outcome } from "../../src/mta/remote/transaction.ts";
import { memoryBody, type WireBody } from "../../src/mta/remote/wire-body.ts";
import { type SinkOptions, SmtpSink } from "./smtp-sink.ts";

const noDns: DnsResolver = {
  mx: async () => ({ kind: "soft" }),
  addresses: async () => ({ kind: "soft" }),
};

export interface EngineSetting {
  limits?: Partial<EngineLimits>;
  controls?: Partial<RemoteControls>;
  resolver?: DnsResolver;
  /** The time of day. */
  now?: () => number;
}

export class EngineKit {
  readonly directory = mkdtempSync(join(tmpdir(), "remote-"));
  readonly timeouts = new TimeoutFile(join(this.directory, "tcpto"), 0);
  controls: RemoteControls = {
    heloHost: "me.example",
    routes: undefined,
    connectSeconds: 5,
    replySeconds: 5,
  };
  private readonly sinks: SmtpSink[] = [];
  private engine: Engine | undefined;

  async sink(options: SinkOptions = {}): Promise<SmtpSink> {
    const sink = await SmtpSink.start(options);
    this.sinks.push(sink);
    return sink;
  }

  /** Everything goes to `port` unless `routes` in the controls say otherwise. */
  start(port: number, { limits, controls, resolver, now }: EngineSetting = {}): Engine {
    const routes = new Map([["", `127.0.0.1:${port}`]]);
    this.controls = { ...this.controls, routes, ...controls };
    this.engine = new Engine({
      controls: () => this.controls,
      resolver: resolver ?? noDns,
      isOwn: () => false,
      timeouts: this.timeouts,
      limits: { ...engineLimits, ...limits },
      now: now ?? Date.now,
      random: Math.random,
    });
    return this.engine;
  }

  async stop(): Promise<void> {
    this.engine?.close();
    for (const sink of this.sinks) await sink.stop();
    rmSync(this.directory, { recursive: true });
  }
}

export interface Sending {
  sender?: string;
  to: string[];
  message?: string;
  body?: WireBody;
  host?: string;
  /** Template of fields in front of each copy. */
  prefix?: string;
}

/** Outcomes in the order of `to`; rejects when a recipient is settled twice. */
export function deliver(engine: Engine, work: Sending): Promise<Outcome[]> {
  const outcomes: Outcome[] = [];
  const { sender = "a@me.example", message = "Subject: x\n\nhello\n", host = "h.example" } = work;
  return new Promise((resolve, reject) => {
    let left = work.to.length;
    engine.deliver(
      {
        sites: [
          {
            host,
            deliveries: work.to.map((address, tag) => ({
              original: address,
              routed: address,
              tag,
            })),
          },
        ],
        sender,
        verp: true,
        prefix: work.prefix === undefined ? undefined : new HeaderPrefix(work.prefix, "\r\n"),
        body: work.body ?? memoryBody(Buffer.from(message)),
      },
      (tag, outcome) => {
        if (outcomes[tag]) reject(new Error(`${work.to[tag]} was settled twice`));
        outcomes[tag] = outcome;
        if (--left === 0) resolve(outcomes);
      },
    );
  });
}

/** Verdict letters in order, as `KDZ`. */
export function letters(outcomes: readonly Outcome[]): string {
  return outcomes.map((outcome) => outcome.verdict).join("");
}

/** r0@h.example, r1@h.example, … */
export function many(count: number): string[] {
  return Array.from({ length: count }, (_, at) => `r${at}@h.example`);
}
