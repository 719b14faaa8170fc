/** A post to a long list leaves in two parts; whatever goes wrong in between, everybody gets it once. */
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { PermanentError, TemporaryError } from "../../../src/lib/errors.ts";
import type { Submission } from "../../../src/lib/queue-door.ts";
import { type BareList, bareList } from "../../support/bare-list.ts";
import { RecorderQueue } from "../../support/ezmlm.ts";

const env = { SENDER: "joe@example.com" };
const post = "From: joe@example.com\nTo: joe-list@lists.example.org\nSubject: to all\n\nhello\n";
const longList = 5000;
/** Every sort of first letter, and one who stands for a domain and gets nothing. */
const members = [
  "@wild.example",
  ...Array.from({ length: longList }, (_, n) => {
    const lead = "09+=AZ_`az~\u00e4"[n % 12];
    return `${lead}${(n * 7919) % longList}@example.net`;
  }),
];
const receivers = members.slice(1);

/** Commits until `left` are over; the next ones are refused. */
class FillingQueue extends RecorderQueue {
  left = Number.POSITIVE_INFINITY;
  error: Error = new TemporaryError("qq write error or disk full (#4.3.0)");

  override open(options: { key?: string; prefix?: string } = {}) {
    const submission = super.open(options);
    return {
      ...submission,
      commit: async () => {
        if (this.left-- <= 0) throw this.error;
        return submission.commit();
      },
    } satisfies Submission;
  }
}

function send(list: BareList, queue: RecorderQueue, deliveryKey?: string, stdin = post) {
  const key = deliveryKey === undefined ? {} : { deliveryKey };
  return list.run("ezmlm-send", { env, stdin, queue, ...key });
}

const recipientsOf = (queue: RecorderQueue) => queue.mails.flatMap(({ recipients }) => recipients);
const sorted = (addresses: readonly string[]) => [...addresses].sort();

async function longListOf(addresses: readonly string[] = members): Promise<BareList> {
  const list = await bareList({}, []);
  const file = `${addresses.join("\n")}\n`;
  const added = await list.run("ezmlm-sub", { args: ["{DIR}"], stdin: file });
  expect(added.code).toBe(0);
  return list;
}

describe("a post to a long list", () => {
  test("is the same mail twice: to the first subscribers, then to the rest", async () => {
    const queue = new RecorderQueue();
    const list = await longListOf();
    const ran = await send(list, queue, "7.1");
    expect([ran.code, ran.stderr]).toEqual([0, "ezmlm-send: info: qp 1 2\n"]);
    expect(queue.mails).toHaveLength(2);
    const [first, rest] = queue.mails;
    expect(rest?.recipients.length).toBeGreaterThan(longList / 10);
    expect(sorted(recipientsOf(queue))).toEqual(sorted(receivers));
    expect(rest?.bytes.equals(first?.bytes ?? Buffer.of())).toBe(true);
    expect([first?.sender, rest?.sender]).toEqual([
      "joe-list-return-1-@lists.example.org-@[]",
      "joe-list-return-1-@lists.example.org-@[]",
    ]);
    expect(list.read("num")).toBe("1:0\n");
  });

  test("with a link of each copy in both", async () => {
    const queue = new RecorderQueue();
    const list = await longListOf();
    list.write("unsubscribelink");
    await send(list, queue, "7.1");
    expect(queue.mails[0]?.prefix).toContain("List-Unsubscribe");
    expect(queue.mails[1]?.prefix).toBe(queue.mails[0]?.prefix);
  });

  test("that is repeated when all was queued sends nothing more", async () => {
    const queue = new RecorderQueue();
    const list = await longListOf();
    await send(list, queue, "7.1");
    await list.run("ezmlm-sub", { args: ["{DIR}", "000@new.example", "zzz@new.example"] });
    expect((await send(list, queue, "7.1")).code).toBe(0);
    expect(queue.mails).toHaveLength(2);
  });

  test.each([0, 1])(
    "goes on when %d parts were queued, though people came and went",
    async (parts) => {
      const queue = new FillingQueue();
      queue.left = parts;
      const list = await longListOf();
      const failed = await send(list, queue, "7.1");
      expect([failed.code, queue.mails.length]).toEqual([111, parts]);
      const early = queue.mails[0]?.recipients ?? [];
      // Who goes: one of those that have it, if any, one of those that do not. Who comes: everywhere.
      const leaving = [receivers[0] ?? "", receivers[3] ?? "", receivers[4] ?? ""];
      const coming = ["!first@new.example", "m@new.example", "~~~last@new.example"];
      await list.run("ezmlm-unsub", { args: ["{DIR}", ...leaving] });
      await list.run("ezmlm-sub", { args: ["{DIR}", ...coming] });
      queue.left = Number.POSITIVE_INFINITY;
      expect((await send(list, queue, "7.1")).code).toBe(0);
      const all = recipientsOf(queue);
      expect(new Set(all).size).toBe(all.length);
      const mustHave = receivers.filter((address) => !leaving.includes(address));
      expect(all).toEqual(expect.arrayContaining(mustHave));
      for (const address of all) {
        const isMember = receivers.includes(address) && !leaving.includes(address);
        expect(isMember || coming.includes(address) || early.includes(address)).toBe(true);
      }
      expect(queue.mails.map(({ sender }) => sender)).toEqual(
        queue.mails.map(() => "joe-list-return-1-@lists.example.org-@[]"),
      );
    },
  );

  test("keeps its number when the queue refuses the rest for good", async () => {
    const queue = new FillingQueue();
    queue.left = 1;
    queue.error = new PermanentError("mail server permanently rejected message (#5.3.0)");
    const list = await longListOf();
    expect((await send(list, queue, "7.1")).code).toBe(100);
    expect([list.read("num"), list.has("archive/0/01")]).toEqual(["1:0\n", true]);
    queue.left = Number.POSITIVE_INFINITY;
    await send(list, queue, "8.1");
    expect(queue.mails.at(-1)?.sender).toContain("-return-2-");
  });

  test("whose first part all left meanwhile goes to the rest", async () => {
    const queue = new FillingQueue();
    queue.left = 0;
    const list = await longListOf();
    await send(list, queue, "7.1");
    queue.left = Number.POSITIVE_INFINITY;
    const parts = new RecorderQueue();
    await send(await longListOf(), parts, "7.1");
    const [first, rest] = parts.mails;
    const leaving = `${first?.recipients.join("\n")}\n`;
    await list.run("ezmlm-unsub", { args: ["{DIR}"], stdin: leaving });
    expect((await send(list, queue, "7.1")).code).toBe(0);
    expect(queue.mails.map(({ recipients }) => recipients)).toEqual([rest?.recipients]);
  });

  test.each([
    ["in hashed files", { subdb: "std" }, ["{DIR}"]],
    ["by hashes", {}, ["-s0_52", "{DIR}"]],
    ["by some hashes", {}, ["-s0_26", "{DIR}"]],
  ])("whose list is read %s when it goes on", async (_, files, args) => {
    const queue = new FillingQueue();
    queue.left = 1;
    const list = await longListOf();
    await send(list, queue, "7.1");
    for (const [name, text] of Object.entries(files)) list.write(name, `${text}\n`);
    if ("subdb" in files) {
      mkdirSync(join(list.dir, "subscribers"));
      const file = `${members.join("\n")}\n`;
      expect((await list.run("ezmlm-sub", { args: ["{DIR}"], stdin: file })).code).toBe(0);
    }
    queue.left = Number.POSITIVE_INFINITY;
    const again = { args, env, stdin: post, queue, deliveryKey: "7.1" };
    expect((await list.run("ezmlm-send", again)).code).toBe(0);
    const all = recipientsOf(queue);
    expect(queue.mails).toHaveLength(2);
    expect(new Set(all).size).toBe(all.length);
    if (args[0] !== "-s0_26") expect(sorted(all)).toEqual(sorted(receivers));
  });
});

describe("one mail", () => {
  const onePart = async (list: BareList, queue: RecorderQueue, key?: string, text = post) => {
    expect((await send(list, queue, key, text)).code).toBe(0);
    expect(sorted(queue.take().recipients)).toEqual(sorted(receivers));
  };

  test("outside of a delivery, which nobody repeats", async () => {
    await onePart(await longListOf(), new RecorderQueue());
  });

  test("where the queue keeps no keys", async () => {
    const queue = new RecorderQueue();
    queue.keepsKeys = false;
    await onePart(await longListOf(), queue, "7.1");
  });

  test("when the post is large", async () => {
    const large = `${post}${"a line of some length, many times over\n".repeat(2000)}`;
    await onePart(await longListOf(), new RecorderQueue(), "7.1", large);
  });

  test("to a short list, also when it grew long before the repetition", async () => {
    const queue = new FillingQueue();
    queue.left = 0;
    const list = await longListOf(members.slice(0, 100));
    expect((await send(list, queue, "7.1")).code).toBe(111);
    await list.run("ezmlm-sub", { args: ["{DIR}"], stdin: `${members.join("\n")}\n` });
    queue.left = Number.POSITIVE_INFINITY;
    await onePart(list, queue, "7.1");
  });

  test("to a part of the list by hashes", async () => {
    const queue = new RecorderQueue();
    const list = await longListOf();
    const ran = await list.run("ezmlm-send", {
      args: ["-s0_51", "{DIR}"],
      env,
      stdin: post,
      queue,
      deliveryKey: "7.1",
    });
    expect(ran.code).toBe(0);
    expect(queue.take().recipients.length).toBeGreaterThan(longList / 2);
  });
});
