/**
 * Keeps the partition running. qmail-send is the one that may not die: without it nobody knows what
 * is out, so everything stops. Any other process is started again, one second later, with the same
 * capability.
 */
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { TemporaryError } from "../../lib/errors.ts";
import type { Owner } from "../../lib/one-uid.ts";
import type { ControlMessage } from "../channel/control-messages.ts";
import { Child, type ChildContext, newCapability } from "./child.ts";
import { Held } from "./held.ts";
import type { Identities } from "./identity.ts";
import { type Address, type Bound, withListeners } from "./listen.ts";
import { type ProcessRow, partition, stopOrder } from "./partition.ts";

const readyLimitMs = 30_000;
const restartDelayMs = 1_000;
/** How long the listener, and all others in a hurry, may take to stop. */
const listenerMs = 1_500;
const lastMs = 8_000;
/** How qmail-send ends that was told to stop. */
const ORDERLY = "exit 0";

export class Supervisor {
  private readonly context: ChildContext;
  private readonly identities: Identities;
  private readonly log: (line: string) => void;
  private readonly children = new Map<ProcessRow["name"], Child>();
  private readonly capabilities = new Map(partition.map((row) => [row.name, newCapability()]));
  private readonly stopSignal = new AbortController();
  private readonly hurrySignal = new AbortController();
  private addresses: readonly Address[];
  private stopped: Promise<void> | undefined;
  /** Rejects when qmail-send is lost while nobody asked it to stop. */
  readonly lost: Promise<never>;
  private lose: (error: Error) => void = () => {};
  /** qmail-send, once it serves. */
  private serving: Child | undefined;

  constructor(
    context: ChildContext,
    identities: Identities,
    addresses: readonly Address[],
    log: (line: string) => void,
  ) {
    this.context = context;
    this.identities = identities;
    this.addresses = addresses;
    this.log = log;
    this.lost = new Promise((_, reject) => {
      this.lose = reject;
    });
    this.lost.catch(() => {});
  }

  get stopping(): boolean {
    return this.stopped !== undefined;
  }

  /** Where mail is taken in, with the real ports. */
  get listening(): readonly Address[] {
    return this.addresses;
  }

  /** Starts every row in order; throws when one does not come up. */
  async start(): Promise<void> {
    // The listener process exists first, because a port in use is known before anything else runs.
    const listener = this.addresses.length > 0 ? await this.spawnListener() : undefined;
    for (const row of partition) {
      if (this.stopping) return;
      if (row.listens && !listener) continue;
      const child = row.listens && listener ? listener : this.spawn(row, []);
      await this.bringUp(child);
      this.watch(child);
    }
  }

  private spawn(row: ProcessRow, listeners: readonly Bound[]): Child {
    const child = new Child(this.context, row, this.identities.process(row), listeners);
    this.children.set(row.name, child);
    return child;
  }

  private async spawnListener(): Promise<Child> {
    const row = partition.find(({ listens }) => listens) as ProcessRow;
    return withListeners(this.addresses, (bound) => {
      this.addresses = bound.map(({ address }) => address);
      return this.spawn(row, bound);
    });
  }

  private async bringUp(child: Child): Promise<void> {
    const { row } = child;
    const capability = this.capabilities.get(row.name) as Buffer;
    child.start(row.role ? capability : Buffer.alloc(0));
    const limit = sleep(readyLimitMs, { ready: false, text: "not ready in time" } as const, {
      ref: false,
    });
    const readiness = await Promise.race([child.readiness, limit]);
    if (!readiness.ready && !this.stopping) {
      throw new TemporaryError(`cannot start ${row.name}: ${readiness.text}`);
    }
    if (row.name !== "qmail-send") return;
    if (readiness.ready) this.serving = child;
    const { intake } = this.identities;
    // Mode 0660 lets the servers in by group; qmailq itself may not give a file to that group.
    if (intake) giveSocket(join(this.context.home, "queue"), "intake", intake);
    this.announce(child);
  }

  /** qmail-send learns all capabilities at once, before any other process can show one. */
  private announce(send: Child): void {
    for (const row of partition) {
      if (!row.role) continue;
      const uid = this.identities.process(row)?.uid ?? this.ownUid;
      const capability = this.capabilities.get(row.name) as Buffer;
      send.send({ type: "announce", capability, role: row.role, uid });
    }
  }

  private get ownUid(): number {
    return this.identities.mode === "accounts" ? 0 : this.identities.queue.uid;
  }

  private watch(child: Child): void {
    void child.exit.then((how) => {
      if (this.stopping) return;
      if (child.row.name === "qmail-send") {
        this.lose(new TemporaryError(`lost qmail-send (${how}), stopping`));
        return;
      }
      this.log(`warning: ${child.row.name} died (${how}), starting it again`);
      void this.restart(child.row);
    });
  }

  private async restart(row: ProcessRow): Promise<void> {
    while (!this.stopping) {
      await sleep(restartDelayMs, undefined, { signal: this.stopSignal.signal }).catch(() => {});
      if (this.stopping) return;
      try {
        const child = row.listens ? await this.spawnListener() : this.spawn(row, []);
        await this.bringUp(child);
        this.watch(child);
        return;
      } catch (error) {
        this.children.get(row.name)?.kill();
        this.log(`warning: ${error instanceof Error ? error.message : String(error)}`);
      }
    }
  }

  /** To qmail-send: reread, flush, hurry. */
  tell(message: ControlMessage): void {
    this.children.get("qmail-send")?.send(message);
  }

  /**
   * Everything ends, in order, when the deliveries that run have ended; no time limits that but their own.
   * A second call waits for the first.
   */
  stop(): Promise<void> {
    this.stopped ??= this.stopInOrder();
    return this.stopped;
  }

  /**
   * As `stop`; throws when qmail-send served and then did not end by its own will, with all it had to
   * write down. One that was stopped before it served had nothing.
   */
  async stopOrderly(): Promise<void> {
    await this.stop();
    const how = (await this.serving?.exit) ?? ORDERLY;
    if (how !== ORDERLY) throw new TemporaryError(`lost qmail-send while stopping (${how})`);
  }

  /** Deliveries that run get a few seconds, then they are put back. Done within ten. */
  hurry(): Promise<void> {
    this.hurrySignal.abort();
    return this.stop();
  }

  private async stopInOrder(): Promise<void> {
    this.stopSignal.abort();
    const [listeners, senders, others] = stopOrder;
    await this.end(listeners, sleep(listenerMs, undefined, { ref: false }));
    await this.end(senders, this.hurried());
    if (this.hurrySignal.signal.aborted) this.tell({ type: "hurry" });
    await this.end([...senders, ...others], sleep(lastMs, undefined, { ref: false }));
    const all = [...this.children.values()];
    for (const child of all) child.kill();
    await Promise.all(all.map((child) => child.exit));
  }

  private async end(names: readonly ProcessRow["name"][], limit: Promise<void>): Promise<void> {
    const going = names.flatMap((name) => this.children.get(name) ?? []);
    for (const child of going) child.send({ type: "stop" });
    await Promise.race([Promise.all(going.map((child) => child.exit)), limit]);
  }

  private hurried(): Promise<void> {
    const { signal } = this.hurrySignal;
    return new Promise((resolve) => {
      if (signal.aborted) resolve();
      else signal.addEventListener("abort", () => resolve());
    });
  }
}

/** The directory is of a lesser uid, which could have put something else there. */
function giveSocket(directory: string, name: string, owner: Owner): void {
  Held.directory(directory).during((parent) =>
    parent.hold(name).during((socket) => {
      if (!socket.status.isSocket()) throw new TemporaryError(`${socket.path} must be a socket`);
      socket.set({ owner });
    }),
  );
}
