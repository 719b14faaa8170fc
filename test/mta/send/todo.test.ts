/** Messages in todo that do not fit into memory are expanded all the same. */
import { expect, test } from "vitest";
import type { NewMessage } from "../../../src/mta/queue/work.ts";
import { Todo, type TodoOptions } from "../../../src/mta/send/todo.ts";
import { eventually } from "../../support/qmail-send.ts";

test("a message accepted while todo is full is expanded, also one with a low id", async () => {
  const stored = new Set<number>();
  let paused = true;
  const queue: TodoOptions["queue"] = {
    expand: async (id) => {
      stored.delete(id);
      return null;
    },
    read: (async ({ after, limit }: { after: number; limit: number }) =>
      [...stored]
        .filter((id) => id > after)
        .sort((a, b) => a - b)
        .slice(0, limit)) as TodoOptions["queue"]["read"],
  };
  const todo = new Todo({ queue, expanded() {}, trouble() {}, paused: () => paused });
  const accept = (id: number): void => {
    stored.add(id);
    todo.add({ id, envelopeBytes: 20 } as NewMessage);
  };
  for (let id = 100; id < 50_200; id++) accept(id);
  // It began to come in before all the others.
  accept(7);
  paused = false;
  todo.run();
  await eventually(() => stored.size === 0, "all are expanded");
});

test("messages on disk are expanded, though the first look for them failed", async () => {
  const stored = new Set<number>();
  const troubles: string[] = [];
  let failures = 1;
  let paused = true;
  const todo = new Todo({
    queue: {
      expand: async (id) => {
        stored.delete(id);
        return null;
      },
      read: (async () => {
        if (failures-- > 0) throw new Error("no descriptor is free");
        return [...stored].slice(0, 10_000);
      }) as TodoOptions["queue"]["read"],
    },
    expanded() {},
    trouble: (id, error) => troubles.push(`${id}: ${error}`),
    paused: () => paused,
  });
  for (let id = 1; id <= 60_000; id++) {
    stored.add(id);
    todo.add({ id, envelopeBytes: 20 } as NewMessage);
  }
  paused = false;
  // As once a second.
  await eventually(() => {
    todo.run();
    return stored.size === 0;
  }, "all are expanded");
  expect(troubles).toEqual(["undefined: Error: no descriptor is free"]);
});
