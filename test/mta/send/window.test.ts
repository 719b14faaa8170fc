/** Whose turn it is, and whose mail is in memory, while sites hang and die. */
import { expect, test } from "vitest";
import { packRecipients } from "../../../src/mta/queue/packed.ts";
import type { QueueStore } from "../../../src/mta/queue/queue.ts";
import type { JobRow, MessageClass, MessageRow } from "../../../src/mta/queue/work.ts";
import type { Job } from "../../../src/mta/send/job.ts";
import type { Site } from "../../../src/mta/send/site.ts";
import { Window } from "../../../src/mta/send/window.ts";

const limit = 20;
const lifetimeSeconds = 604_800;

interface Running {
  readonly job: Job;
  readonly site: Site;
  readonly since: number;
  silent: boolean;
}

function siteOf(model: Model, name: string): Site {
  model.add(name);
  const lane = model.window.next("remote", 1);
  if (!lane) throw new Error(`nothing to start at ${name}`);
  return lane.place;
}

/** A window over a store in memory, and the slots of one channel. Seconds pass when told. */
class Model {
  now = 1_800_000_000;
  readonly jobs = new Map<number, { row: JobRow; message: MessageRow }>();
  readonly running: Running[] = [];
  private id = 0;
  readonly window: Window;
  private reading: Promise<void> | undefined;
  limit: number;

  constructor(slots = limit) {
    this.limit = slots;
    const store: Pick<QueueStore, "claim"> = {
      claim: async (lanes, now) => {
        const pages = lanes.map((lane) => {
          const all = [...this.jobs.values()]
            .map(({ row }) => row)
            .filter((row) => row.site === lane.site && row.class === lane.class)
            .sort((a, b) => a.nextAt - b.nextAt || a.id - b.id);
          const jobs = all.filter((row) => row.nextAt <= now).slice(0, lane.limit);
          return { ...lane, jobs, nextAt: all[jobs.length]?.nextAt ?? null };
        });
        const messages = pages.flatMap(({ jobs }) =>
          jobs.map((row) => this.jobs.get(row.id)?.message as MessageRow),
        );
        return { pages, messages };
      },
    };
    this.window = new Window({
      store: store as QueueStore,
      now: () => this.now,
      lifetime: () => ({ queuelifetime: lifetimeSeconds, notBefore: 0 }),
      limits: { local: slots, remote: slots },
      wake: () => {},
      trouble: () => {},
    });
  }

  /** A job comes in. */
  add(site: string, cls: MessageClass = 1, born = this.now): void {
    const { row, message } = this.make(site, cls, born);
    this.window.addNew([row], message);
  }

  /** A job of an earlier run is found on disk. */
  store(site: string): void {
    this.make(site, 1, this.now);
    this.window.addLane({ site, class: 1 }, this.now);
  }

  private make(
    site: string,
    cls: MessageClass,
    born: number,
  ): { row: JobRow; message: MessageRow } {
    const id = ++this.id;
    const message: MessageRow = {
      id,
      class: cls,
      born,
      uid: 1,
      sender: "",
      size: 1,
      bodyType: 0,
      spilled: 0,
      prefix: "",
    };
    const row: JobRow = {
      id,
      message: id,
      site,
      class: cls,
      nextAt: born,
      crashes: 0,
      count: 1,
      settled: null,
      ordinals: null,
      packed: packRecipients(["a@b"], ["a@b"]),
    };
    const made = { row, message };
    this.jobs.set(id, made);
    return made;
  }

  /** Starts what may start; the sites, in order. */
  start(channel: "local" | "remote" = "remote"): string[] {
    const started: string[] = [];
    while (this.running.length < this.limit) {
      const lane = this.window.next(channel, this.limit - this.running.length);
      const job = lane?.shift();
      if (!lane || !job) break;
      expect(this.running.some((other) => other.job.row.id === job.row.id)).toBe(false);
      this.window.slotStarted(lane.place);
      this.running.push({ job, site: lane.place, since: this.now, silent: false });
      started.push(lane.site);
      this.window.check(lane);
    }
    return started;
  }

  /** A slot ends; with `retryAt` its job stays in the store. */
  end(slot: Running, outcome: "answered" | "failed", retryAt: number | null = null): void {
    this.running.splice(this.running.indexOf(slot), 1);
    const { row } = slot.job;
    if (outcome === "answered" && !slot.silent) this.window.answered(slot.site);
    this.window.slotEnded(slot.site, outcome === "answered", (failures) =>
      Math.min(600, 15 * 2 ** failures),
    );
    if (retryAt === null) this.jobs.delete(row.id);
    else this.jobs.set(row.id, { row: { ...row, nextAt: retryAt }, message: slot.job.message });
    this.window.release(slot.job, retryAt);
  }

  endAll(which: (site: string) => boolean, outcome: "answered" | "failed", retry = false): void {
    for (const slot of [...this.running]) {
      if (which(slot.site.name)) this.end(slot, outcome, retry ? this.now + 400 : null);
    }
  }

  /** A site that took a message lately. */
  known(...sites: string[]): void {
    for (const site of sites) {
      this.add(site);
      this.start();
      this.endAll((name) => name === site, "answered");
    }
  }

  async pass(seconds: number): Promise<void> {
    this.now += seconds;
    for (const slot of this.running) {
      if (slot.silent || slot.since > this.now - 15) continue;
      slot.silent = true;
      this.window.silent(slot.site);
    }
    this.window.tick();
    while (this.window.wantsPage) {
      this.reading = this.window.page();
      await this.reading;
      if (this.start().length === 0) break;
    }
  }
}

test("a site that has not answered yet gets two slots, all of them two thirds", () => {
  const model = new Model();
  for (let sent = 0; sent < 30; sent++) model.add("Rdead.test");
  expect(model.start()).toHaveLength(2);
  for (let site = 0; site < 30; site++) model.add(`Rhangs${site}.test`);
  expect(model.start()).toHaveLength(12);
});

test("a site that answers gets all slots but the reserve, and no more when it fails", () => {
  const model = new Model();
  model.known("Rgood.test");
  for (let sent = 0; sent < 60; sent++) model.add("Rgood.test");
  expect(model.start()).toHaveLength(19);
  model.endAll(() => true, "failed", true);
  expect(model.start()).toHaveLength(0);
});

test("a site that takes its time leaves half of the slots to others, once there are any", () => {
  const model = new Model();
  model.known("Rslow.test");
  const site = siteOf(model, "Rslow.test");
  model.window.paced(site, 0.25);
  for (let sent = 0; sent < 60; sent++) model.add("Rslow.test");
  const held = () => model.running.filter((slot) => slot.site === site).length;
  // Alone (a smarthost, perhaps) it may have what a quick one has.
  model.start();
  expect(held()).toBe(19);
  model.endAll(() => true, "answered");
  model.add("Rother.test");
  model.start();
  expect(held()).toBe(9);
  // It is seen to be quick: what waited starts.
  for (let seen = 0; seen < 4; seen++) model.window.paced(site, 0.002);
  model.start();
  expect(held()).toBeGreaterThan(15);
});

test("known sites have slots while thirty hang, new ones a few, and hanging ones one at a time", async () => {
  const model = new Model();
  model.known("Rgood.test");
  for (let sent = 0; sent < 600; sent++) model.add(`Rhangs${sent % 30}.test`);
  model.start();
  for (let seconds = 0; seconds < 60; seconds += 15) {
    for (let sent = 0; sent < 5; sent++) model.add("Rgood.test");
    const started = model.start();
    expect(started.filter((site) => site === "Rgood.test").length).toBeGreaterThanOrEqual(4);
    model.endAll((site) => site === "Rgood.test", "answered");
    model.start();
    model.endAll((site) => site === "Rgood.test", "answered");
    await model.pass(15);
  }
  const hanging = model.running.map(({ site }) => site.name);
  expect(hanging.length).toBeLessThanOrEqual(16);
  // Later, when they have failed, two slots are all that is risked on them.
  model.endAll((site) => site.startsWith("Rhangs"), "failed", true);
  await model.pass(700);
  model.start();
  const again = model.running.filter(({ site }) => site.standing === "slow");
  expect(again.length).toBeLessThanOrEqual(2);
});

test("a confirmation goes out while a big post has the slots and unknown sites hang", () => {
  const model = new Model();
  model.known("Rbig.test");
  for (let site = 0; site < 30; site++) model.add(`Rhangs${site}.test`);
  for (let sent = 0; sent < 500; sent++) model.add("Rbig.test", 2);
  model.start();
  model.add("Rnew.test", 0);
  for (const slot of model.running.slice(-3)) model.end(slot, "answered");
  expect(model.start()).toContain("Rnew.test");
  // At the very site the post goes to, it is the next.
  model.add("Rbig.test", 0);
  model.endAll((site) => site === "Rbig.test", "answered");
  const first = model.start().find((site) => site === "Rbig.test");
  expect(first).toBe("Rbig.test");
  expect(model.running.some(({ job }) => job.row.class === 0 && job.row.site === first)).toBe(true);
});

test("many sites that died while they asked for memory do not keep the next one waiting", async () => {
  const model = new Model(200);
  for (let site = 0; site < 100; site++) model.add(`Rdead${site}.test`);
  expect(model.start()).toHaveLength(100);
  // More of each waits on disk: so they ask; then all die.
  for (let site = 0; site < 100; site++) {
    model.window.addLane({ site: `Rdead${site}.test`, class: 1 }, model.now);
  }
  model.endAll(() => true, "failed", true);
  model.store("Rnew.test");
  await model.window.page();
  expect(model.start()).toEqual(["Rnew.test"]);
});

test("dead sites with very many messages keep no other mail out of memory", async () => {
  const model = new Model();
  for (let sent = 0; sent < 40_000; sent++) model.add(`Rdead${sent % 40}.test`);
  for (let sent = 0; sent < 20_000; sent++) model.add(`Rdead${sent % 40}.test`, 2);
  model.start();
  for (let rounds = 0; rounds < 10; rounds++) {
    model.endAll(() => true, "failed", true);
    model.start();
  }
  model.add("Rgood.test");
  expect(model.start()).toContain("Rgood.test");
  model.add("Lhello@list.test");
  expect(model.window.next("local", limit)?.site).toBe("Lhello@list.test");
});

test("sites that hang with very many messages keep no other mail out of memory", () => {
  const model = new Model();
  for (let sent = 0; sent < 200_000; sent++) model.add(`Rhangs${sent % 4000}.test`);
  model.start();
  model.add("Lann@local.test");
  expect(model.window.next("local", limit)?.site).toBe("Lann@local.test");
  model.add("Rnew.test", 0);
  expect(model.start()).toEqual(["Rnew.test"]);
});

test("what is too old has its last attempt though the site is blocked", async () => {
  const model = new Model();
  const old = model.now - lifetimeSeconds - 10;
  for (let sent = 0; sent < 100; sent++) model.add("Rdead.test", 1, old);
  model.add("Rdead.test");
  for (let rounds = 0; rounds < 200 && model.jobs.size > 1; rounds++) {
    model.start();
    // Given up: the job ends with its failed attempt.
    model.endAll(() => true, "failed");
    await model.pass(1);
  }
  expect([...model.jobs.values()].map(({ message }) => message.born > old)).toEqual([true]);
});

test("a sleeping local user holds few slots", async () => {
  const model = new Model(10);
  for (let sent = 0; sent < 50; sent++) model.add("Lsleeper@local.test");
  model.start("local");
  await model.pass(15);
  expect(model.running.length).toBeLessThanOrEqual(2);
  for (let user = 0; user < 5; user++) model.add(`Lquick${user}@local.test`);
  expect(new Set(model.start("local")).size).toBeGreaterThanOrEqual(4);
});

test("whatever sites do, each job is in flight once, and all end when the sites recover", async () => {
  for (let seed = 1; seed <= 20; seed++) {
    let state = seed * 7919;
    const random = (below: number): number => {
      state = (state * 1_103_515_245 + 12_345) % 2_147_483_648;
      return state % below;
    };
    const model = new Model(1 + random(25));
    const sites = 3 + random(60);
    for (let second = 0; second < 300; second++) {
      for (let sent = random(12); sent > 0; sent--) {
        model.add(`Rsite${random(sites)}.test`, random(3) as MessageClass);
      }
      for (const slot of [...model.running]) {
        const kind = (slot.site.name.length + Number(/\d+/.exec(slot.site.name)?.[0])) % 4;
        const hangs = kind === 0 && model.now - slot.since < 60;
        if (hangs || random(3) === 0) continue;
        if (kind <= 1) model.end(slot, "failed", model.now + 100 + random(400));
        else model.end(slot, "answered", random(10) === 0 ? model.now + random(50) : null);
      }
      model.start();
      await model.pass(1);
    }
    for (let rounds = 0; rounds < 5000 && model.jobs.size > 0; rounds++) {
      model.endAll(() => true, "answered");
      model.start();
      await model.pass(model.running.length > 0 ? 0 : 30);
    }
    expect(model.jobs.size, `seed ${seed}`).toBe(0);
  }
});
