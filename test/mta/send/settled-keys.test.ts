import { expect, test } from "vitest";
import { SettledKeys } from "../../../src/mta/send/settled-keys.ts";

function make() {
  const forgotten: string[] = [];
  const state = { isTaken: true, fails: 0, looks: 0 };
  const keys = new SettledKeys({
    takeDropped: async () => {
      state.looks++;
      return state.isTaken;
    },
    forget: async (deliveries) => {
      if (state.fails-- > 0) throw new Error("disk full");
      forgotten.push(...deliveries);
    },
  });
  return { keys, forgotten, state };
}

const many = Array.from({ length: 1234 }, (_, n) => `${n}.0`);

test("keys go after the next look, each once", async () => {
  const { keys, forgotten, state } = make();
  await keys.forget();
  expect(state.looks).toBe(0);
  keys.add(many);
  const running = keys.forget();
  keys.add(["late.0"]); // its mail may have been dropped after the look began
  await Promise.all([running, keys.forget()]);
  expect([state.looks, forgotten]).toEqual([1, many]);
  await keys.forget();
  expect(forgotten).toEqual([...many, "late.0"]);
});

test("they stay while something is left, which is not read again at every call", async () => {
  const { keys, forgotten, state } = make();
  keys.add(many);
  state.isTaken = false;
  for (let call = 0; call < 20; call++) await keys.forget();
  expect([state.looks, forgotten]).toEqual([1, []]);
  state.isTaken = true;
  for (let call = 0; call < 20; call++) await keys.forget();
  expect([state.looks, forgotten]).toEqual([2, many]);
});

test("they stay while the queue cannot be written", async () => {
  const { keys, forgotten, state } = make();
  keys.add(many);
  state.fails = 1;
  await keys.forget();
  expect(forgotten).toEqual([]);
  await keys.forget();
  expect(forgotten).toEqual(many);
});
