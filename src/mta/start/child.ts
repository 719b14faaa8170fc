/**
 * One process of the partition: started under its uid with a control channel on descriptor 3 and
 * listening sockets from 4 on. It has a session of its own, so that a signal to our process group
 * reaches only us and we decide the order in which things stop.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { randomBytes } from "node:crypto";
import { join } from "node:path";
import type { Duplex } from "node:stream";
import type { Owner } from "../../lib/one-uid.ts";
import { profileArguments } from "../../lib/profile.ts";
import type { Environment } from "../../lib/program.ts";
import { Channel } from "../channel/channel.ts";
import { type ControlMessage, readControl, writeControl } from "../channel/control-messages.ts";
import { CAPABILITY_BYTES, PROTOCOL_VERSION } from "../channel/protocol.ts";
import { addressText, type Bound } from "./listen.ts";
import type { ProcessRow } from "./partition.ts";

/** What all children have in common. */
export interface ChildContext {
  readonly home: string;
  readonly root: string;
  readonly node: string;
  readonly env: Environment;
  readonly defaultDelivery: string;
  /** Descriptor that gets what children print on stdout; a logger's, or our own. */
  readonly logFd: number;
}

export type Readiness = { ready: true } | { ready: false; text: string };

export class Child {
  readonly row: ProcessRow;
  readonly pid: number;
  /** How it came up; settles once. */
  readonly readiness: Promise<Readiness>;
  /** Resolves when it is gone, with how, in words. */
  readonly exit: Promise<string>;
  gone = false;
  /** It said why it cannot serve and is about to exit: nothing more to tell it. */
  private failed = false;
  private readonly context: ChildContext;
  private readonly process: ChildProcess;
  private readonly channel: Channel<ControlMessage, ControlMessage>;
  private readonly listeners: readonly Bound[];

  constructor(
    context: ChildContext,
    row: ProcessRow,
    owner: Owner | undefined,
    listeners: readonly Bound[],
  ) {
    this.context = context;
    this.row = row;
    this.listeners = listeners;
    const entry = join(context.root, "dist", `${row.name}.entry.js`);
    this.process = spawn(context.node, [...profileArguments(context.env), entry], {
      cwd: context.home,
      detached: true,
      env: { ...context.env },
      stdio: ["ignore", context.logFd, "inherit", "pipe", ...listeners.map(({ fd }) => fd)],
      ...(owner && { uid: owner.uid, gid: owner.gid }),
    });
    this.pid = this.process.pid ?? -1;
    let settle = (_: Readiness): void => {};
    this.readiness = new Promise((resolve) => {
      settle = resolve;
    });
    this.exit = new Promise((resolve) => {
      const end = (how: string): void => {
        this.gone = true;
        settle({ ready: false, text: how });
        resolve(how);
      };
      this.process.on("error", (error) => end(`cannot be started: ${error.message}`));
      this.process.on("exit", (code, signal) =>
        end(signal ? `killed by ${signal}` : `exit ${code}`),
      );
    });
    const fail = (): void => {
      this.failed = true;
    };
    this.channel = new Channel(this.process.stdio[3] as Duplex, writeControl, readControl, {
      message(message) {
        if (message.type === "ready") settle({ ready: true });
        if (message.type !== "failed") return;
        fail();
        settle({ ready: false, text: message.text });
      },
      closed() {},
    });
  }

  /** Tell it who it is; it starts serving. */
  start(capability: Buffer): void {
    const { home, root, defaultDelivery } = this.context;
    this.channel.send({
      type: "start",
      version: PROTOCOL_VERSION,
      home,
      root,
      capability,
      defaultDelivery,
      listeners: this.listeners.map(({ address }, at) => ({
        fd: 4 + at,
        address: addressText(address),
      })),
    });
  }

  send(message: ControlMessage): void {
    if (!this.failed) this.channel.send(message);
  }

  kill(): void {
    if (!this.gone) this.process.kill("SIGKILL");
  }
}

export function newCapability(): Buffer {
  return randomBytes(CAPABILITY_BYTES);
}
