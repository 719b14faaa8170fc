/** Posts that their senders confirm: the request, confirm and discard, and expiry. */
import { existsSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { beforeEach, describe, expect, test } from "vitest";
import { headerOf, makeList, type RecordedMail, type TestList } from "../../support/ezmlm.ts";
import { commandIn, deliver, failingQueue, postText } from "../../support/list-mail.ts";

const READER = "reader@sub.example";
const STRANGER = "stranger@x.example";
const OK = "Subject: Re: Confirm\n\nyes\n";

let list: TestList;
const waiting = (place = "unconfirmed"): string[] => readdirSync(join(list.dir, "mod", place));

async function post(message = postText()): Promise<RecordedMail> {
  const ran = await deliver(list, { sender: STRANGER, message });
  expect([ran.code, ran.mails.length], ran.text).toEqual([0, 1]);
  return ran.mails[0] as RecordedMail;
}

beforeEach(async () => {
  list = await makeList(["-y"]);
  await list.run("ezmlm-sub", { args: ["{DIR}", READER] });
});

/** The discard address, which is the envelope sender of the request. */
const discardOf = (request: RecordedMail): string =>
  request.sender.split("@")[0]?.slice("joe-list".length) ?? "";

describe("the request to confirm (golden G5)", () => {
  test("goes to the sender, from the discard address, with the post", async () => {
    const request = await post();
    const [name = ""] = waiting();
    expect(request.recipients).toEqual([STRANGER]);
    expect(request.sender).toMatch(
      new RegExp(
        `^joe-list-discard-${name.replace(".", "\\.")}\\.[a-p]{20}@lists\\.example\\.org$`,
      ),
    );
    expect(request.fields.map((field) => field.name)).toEqual([
      "Mailing-List",
      "Date",
      "Message-ID",
      "From",
      "Reply-To",
      "To",
      "Subject",
      "Auto-Submitted",
      "MIME-Version",
      "Content-Type",
    ]);
    const header = headerOf(request);
    expect(header.take("From")).toBe("joe-list-owner@lists.example.org");
    expect(header.take("To")).toBe(`<${STRANGER}>`);
    expect(header.take("Subject")).toBe("Confirm post to joe-list@lists.example.org");
    expect(header.take("Reply-To")).toContain(`joe-list-confirm-${name}.`);
    expect(list.read(`mod/unconfirmed/${name}`)).toBe(
      `Return-Path: <${STRANGER}>\nDelivered-To: confirm to joe-list@lists.example.org\n${postText()}`,
    );
    expect(request.body).toContain(postText());
  });

  test("who can only bounce it cannot confirm it", async () => {
    const request = await post();
    const to = discardOf(request).replace("discard", "confirm");
    const ran = await deliver(list, { to, sender: STRANGER, message: OK });
    expect([ran.code, ran.mails, waiting().length]).toEqual([100, [], 1]);
  });
});

describe("confirm and discard", () => {
  test("confirm sends once; then the post is gone", async () => {
    const to = commandIn(await post(), "Reply-To", list);
    const ran = await deliver(list, { to, sender: STRANGER, message: OK });
    expect([ran.code, ran.mails[0]?.recipients, waiting()]).toEqual([0, [READER], []]);
    const again = await deliver(list, { to, sender: STRANGER, message: OK });
    expect([again.code, again.mails]).toEqual([100, []]);
    expect(again.text).toContain("no longer have this post");
  });

  test("two confirmations at once send it once", async () => {
    const to = commandIn(await post(), "Reply-To", list);
    const both = await Promise.all(
      [1, 2].map(() => deliver(list, { to, sender: STRANGER, message: OK })),
    );
    expect(both.map(({ code }) => code).sort()).toEqual([0, 100]);
    expect(both.flatMap(({ mails }) => mails)).toHaveLength(1);
  });

  test("a bounce, or a mail to the discard address, throws the post away", async () => {
    for (const sender of ["", STRANGER]) {
      const to = discardOf(await post());
      const ran = await deliver(list, { to, sender, message: "Subject: failure notice\n\n" });
      expect([ran.code, ran.mails, waiting()], ran.text).toEqual([0, [], []]);
      const again = await deliver(list, { to, sender, message: "Subject: failure notice\n\n" });
      expect(again.code).toBe(0);
    }
  });

  test("a bounce of the request cannot confirm", async () => {
    const to = commandIn(await post(), "Reply-To", list);
    const ran = await deliver(list, { to, sender: "", message: OK });
    expect([ran.code, ran.mails, waiting().length]).toEqual([100, [], 1]);
  });

  test("a wrong cookie does nothing", async () => {
    const to = commandIn(await post(), "Reply-To", list);
    for (const address of [
      `${to.slice(0, -1)}${to.endsWith("a") ? "b" : "a"}`,
      "-confirm-x",
      "-discard-",
    ]) {
      const ran = await deliver(list, { to: address, sender: STRANGER, message: OK });
      expect([ran.code, ran.mails, waiting().length], address).toEqual([100, [], 1]);
    }
  });

  test("a full queue: the post waits on, and the re-run sends it once", async () => {
    const to = commandIn(await post(), "Reply-To", list);
    const queue = failingQueue(1);
    const run = () => deliver(list, { to, sender: STRANGER, message: OK, queue, key: "confirm.1" });
    expect([(await run()).code, waiting().length, queue.mails.length]).toEqual([111, 1, 0]);
    expect([(await run()).code, waiting().length, queue.mails.length]).toEqual([0, 0, 1]);
    expect(list.read("num")).toMatch(/^1:/);
  });

  test("on a moderated list the moderators are asked once, also when the re-run does it", async () => {
    list = await makeList(["-y", "-m"]);
    await list.run("ezmlm-sub", { args: ["{DIR}", "mod", "mod@example.com"] });
    const to = commandIn(await post(), "Reply-To", list);
    const queue = failingQueue(1);
    const run = () => deliver(list, { to, sender: STRANGER, message: OK, queue, key: "confirm.1" });
    expect((await run()).code).toBe(111);
    expect([(await run()).code, queue.mails.length, waiting("pending").length]).toEqual([0, 1, 1]);
    expect(headerOf(queue.mails[0] as RecordedMail).take("Subject")).toContain("MODERATE");
  });
});

test("what nobody confirms expires without a word", async () => {
  await post();
  const ran = await list.run("ezmlm-clean", { now: new Date(Date.now() + 121 * 3_600_000) });
  expect([ran.code, ran.mails, waiting()]).toEqual([0, [], []]);
  expect(existsSync(join(list.dir, "num"))).toBe(false);
});
