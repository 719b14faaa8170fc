/** A subscriber whose mailbox is gone leaves the list by itself: every bounce is one of our own server. */
import { afterAll, beforeAll, expect, test } from "vitest";
import { type Received, receive, send } from "../../src/demo/mail.ts";
import { DemoSite } from "../../src/demo/site.ts";
import { root } from "../support/root.ts";

const ANN = "ann@remote.test";
const GONE = "gone@list.test";

const site = new DemoSite({
  root,
  uid: process.getuid?.() ?? 1,
  gid: process.getgid?.() ?? 1,
  env: process.env,
});
const seen = new Set<string>();

beforeAll(async () => {
  await site.start();
  site.run("ezmlm-make", "lists/hello", "lists/.qmail-hello", "hello", "list.test");
  site.run("ezmlm-sub", "lists/hello", ANN, GONE);
});

afterAll(() => site.close());

/** Kinds of bounces that wait for ezmlm-warn. */
function waiting(): string[] {
  return site
    .files("lists/hello/bounce/d")
    .filter((name) => /^\d+$/.test(name))
    .flatMap((slot) => site.files(`lists/hello/bounce/d/${slot}`))
    .map((name) => name[0] ?? "");
}

test("post, bounce, warning, its bounce, probe, its bounce: off the list", async () => {
  await send(site, { from: ANN, to: "hello@list.test", subject: "one", text: "hello" });
  const copy: Received = await receive(site, ANN, seen);
  expect(copy.mail.subject).toBe("one");

  await site.waitFor("the bounce of the post", () => waiting().includes("d"));
  const warned = site.run("ezmlm-warn", "-t0", "lists/hello");
  expect(warned.output).toMatch(/^ezmlm-warn: info: qp \S+\n$/);
  await site.waitFor("the bounce of the warning", () => waiting().includes("w"));
  expect(waiting()).toEqual(["w"]);
  const probed = site.run("ezmlm-warn", "-t0", "lists/hello");
  expect(probed.output).toMatch(/^ezmlm-warn: info: qp \S+\n$/);
  await site.waitFor("the end of the subscription", () => {
    return !site.run("ezmlm-list", "lists/hello").output.includes(GONE);
  });
  expect(site.run("ezmlm-list", "lists/hello").output).toBe(`${ANN}\n`);
});
