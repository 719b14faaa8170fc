/** What TERM does to deliveries that run, and signals to those who do not expect them. */
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { RealSite } from "./real-site.ts";

let site: RealSite;
beforeEach(() => {
  site = new RealSite();
});
afterEach(() => site.remove());

const inHome = (name: string): string => join(site.root, "lists", name);
const read = (name: string): string =>
  existsSync(inHome(name)) ? readFileSync(inHome(name), "utf8") : "";

/** A delivery that ends when there is a file `go`; resolves when it runs. */
async function startSlow(): Promise<void> {
  expect(site.run("node dist/main.cjs qmail-setup").code).toBe(0);
  const line =
    "|echo begin $$ >> slow.log; while test ! -f go; do sleep 0.05; done; echo end >> slow.log";
  writeFileSync(inHome(".qmail-slow"), `${line}\n&postmaster@list.test\n`);
  expect(await site.start()).toBe("up");
  expect(site.run("printf 'To: slow\\n\\nhi\\n' | bin/qmail-inject").code).toBe(0);
  await site.until(() => read("slow.log").startsWith("begin"));
}

test("TERM waits until a delivery that runs has ended, which is then done for good", async () => {
  await startSlow();
  const stopped = site.stop();
  await site.until(() => site.out.includes("waits for running deliveries"));
  writeFileSync(inHome("go"), "");
  expect(await stopped).toBe(0);
  expect(site.out).toMatch(/success: did_0\+1\+1\/qp_2\/\n(.*\n)*status: exiting\n$/);
  site.out = "";
  expect(await site.start()).toBe("up");
  await site.until(() => site.delivered().length === 1);
  expect(read("slow.log")).toMatch(/^begin \d+\nend\n$/);
});

test("a second TERM puts it back and ends its program", async () => {
  await startSlow();
  const pid = Number(/begin (\d+)/.exec(read("slow.log"))?.[1]);
  const stopped = site.stop();
  await site.until(() => site.out.includes("a second signal puts them back"));
  void site.stop();
  expect(await stopped).toBe(0);
  expect(site.out.endsWith("status: exiting\n")).toBe(true);
  await site.until(() => !existsSync(`/proc/${pid}`));
  site.out = "";
  expect(await site.start()).toBe("up");
  expect(site.run("bin/qmail-qstat").text).toContain("messages in queue: 1\n");
}, 30_000);

test("ALRM and HUP stop nothing: while it starts, nor sent to qmail-send itself", async () => {
  const started = site.start();
  const timer = setInterval(() => {
    const pid = site.starter;
    if (pid === undefined) return;
    process.kill(pid, "SIGALRM");
    process.kill(pid, "SIGHUP");
  }, 5);
  expect(await started).toBe("up");
  clearInterval(timer);
  const send = site.processes().get("qmail-send")?.pid ?? 0;
  for (const signal of ["SIGALRM", "SIGHUP", "SIGTERM"] as const) process.kill(send, signal);
  expect(site.run("bin/qmail-qstat").text).toContain("messages in queue: 0\n");
  expect(site.processes().get("qmail-send")?.pid).toBe(send);
});
