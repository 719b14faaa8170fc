import { expect, test } from "vitest";
import { bareList } from "../../support/bare-list.ts";

const at = (seconds: number) => new Date(seconds * 1000);

test("ezmlm-limit moderates a list that got too many posts in an interval", async () => {
  const list = await bareList({ num: "10:0\n" });
  const run = (seconds: number, ...more: string[]) =>
    list.run("ezmlm-limit", { args: ["-n", "5", "-t", "100", ...more, "{DIR}"], now: at(seconds) });
  expect((await run(1000)).code).toBe(0);
  expect(list.read("loopnum")).toBe("10:1000\n");
  list.write("num", "14:0\n");
  expect((await run(1050)).stderr).toBe("");
  list.write("num", "15:0\n");
  expect((await run(1060, "-d")).code).toBe(111);
  expect(list.has("modpost")).toBe(false);
  expect((await run(1060)).code).toBe(0);
  expect([list.has("modpost"), list.has("loopnum")]).toEqual([true, false]);
});

test("ezmlm-limit begins anew after the interval, and refuses a state file elsewhere", async () => {
  const list = await bareList({ num: "99:0\n", loopnum: "10:1000\n" });
  await list.run("ezmlm-limit", { args: ["-t", "100", "{DIR}"], now: at(1101) });
  expect([list.has("modpost"), list.read("loopnum")]).toEqual([false, "99:1101\n"]);
  const away = await list.run("ezmlm-limit", { args: ["-f", "../x", "{DIR}"] });
  expect(away.code).toBe(100);
});

test("ezmlm-limit defers where a file modpost would mean nothing", async () => {
  const list = await bareList({ num: "40:0\n", loopnum: "10:1000\n", flags: "aM" });
  const ran = await list.run("ezmlm-limit", { now: at(1001) });
  expect([ran.code, list.has("loopnum")]).toEqual([111, true]);
});

test("ezmlm-limit lets the first post of a list pass", async () => {
  const list = await bareList();
  expect((await list.run("ezmlm-limit", { now: at(1000) })).code).toBe(0);
  expect(list.read("loopnum")).toBe("0:1000\n");
});
