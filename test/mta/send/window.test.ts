/** Whose turn it is while a site hangs. */
import { expect, test } from "vitest";
import { packRecipients } from "../../../src/mta/queue/packed.ts";
import type { MessageClass } from "../../../src/mta/queue/work.ts";
import { Window } from "../../../src/mta/send/window.ts";

const limit = 20;
let id = 0;

function makeWindow(): Window {
  const now = Math.floor(Date.now() / 1000);
  const store = { claim: async () => ({ pages: [], messages: [] }) };
  return new Window({
    store: store as unknown as ConstructorParameters<typeof Window>[0]["store"],
    now: () => now,
    lifetime: () => ({ queuelifetime: 604_800, notBefore: 0 }),
    wake: () => {},
  });
}

function add(window: Window, site: string, cls: MessageClass = 1): void {
  const message = ++id;
  const born = Math.floor(Date.now() / 1000);
  const row = {
    id: message,
    class: cls,
    born,
    uid: 1,
    sender: "",
    size: 1,
    bodyType: 0,
    spilled: 0,
    prefix: "",
  };
  const packed = packRecipients(["a@b"], ["a@b"]);
  const job = { id: message, message, site, class: cls, nextAt: born, tries: 0, count: 1 };
  window.addNew([{ ...job, settled: null, ordinals: null, packed }], row);
}

/** Starts what may start; the sites, in order. */
function start(window: Window, running = 0): string[] {
  const started: string[] = [];
  while (running + started.length < limit) {
    const lane = window.next("remote", limit - running - started.length, limit);
    if (!lane) break;
    lane.shift();
    window.slotStarted(lane.site);
    started.push(lane.site);
  }
  return started;
}

test("Window gives a site that has not answered yet a quarter of the slots", () => {
  const window = makeWindow();
  for (let sent = 0; sent < 30; sent++) add(window, "Rdead.test");
  expect(start(window)).toHaveLength(5);
  for (let sent = 0; sent < 3; sent++) add(window, "Rgood.test");
  expect(start(window, 5)).toEqual(Array(3).fill("Rgood.test"));
});

test("Window gives a site that answers all but the reserve, and takes them back when it hangs", () => {
  const window = makeWindow();
  for (let sent = 0; sent < 60; sent++) add(window, "Rgood.test");
  expect(start(window)).toHaveLength(5);
  window.slotEnded("Rgood.test", true, () => 0);
  expect(start(window, 4)).toHaveLength(15);
  for (let ended = 0; ended < 16; ended++) window.slotEnded("Rgood.test", false, () => -1);
  expect(start(window, 3)).toHaveLength(2);
});

test("Window has room for other mail while a big post or a dead site fills it", () => {
  const window = makeWindow();
  for (let sent = 0; sent < 21_000; sent++) add(window, `Rsite${sent % 50}.test`, 2);
  for (let sent = 0; sent < 21_000; sent++) add(window, "Rdead.test");
  expect(new Set(start(window)).has("Rdead.test")).toBe(true);
  add(window, "Lhello@list.test");
  expect(window.next("local", limit, limit)?.site).toBe("Lhello@list.test");
});
