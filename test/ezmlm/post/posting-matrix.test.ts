/** Who may post and who is asked: every row of the matrix, through the lines ezmlm-make writes. */
import { beforeEach, describe, expect, test } from "vitest";
import { makeList, type RecordedMail, type TestList } from "../../support/ezmlm.ts";
import { commandIn, type Delivered, deliver, postText } from "../../support/list-mail.ts";

const READER = "reader@sub.example";
const MODERATOR = "mod@example.com";
const STRANGER = "stranger@x.example";
const BLOCKED = "blocked@x.example";

async function listWith(switches: string): Promise<TestList> {
  const list = await makeList([`-${switches}`]);
  const subscribe = (...args: string[]) => list.run("ezmlm-sub", { args: ["{DIR}", ...args] });
  await subscribe(READER);
  await subscribe("mod", MODERATOR, "second@example.com");
  await subscribe("deny", BLOCKED);
  return list;
}

type Verdict =
  | "sent"
  | "refused"
  | "all moderators"
  | "that moderator"
  | `confirm, then ${"sent" | "all moderators" | "that moderator"}`;

/** What a mail is, by its envelope alone. */
function kind(mail: RecordedMail | undefined): string {
  if (mail?.sender.startsWith("joe-list-return-1-@")) {
    expect(mail.recipients).toEqual([READER]);
    return "sent";
  }
  if (mail?.sender === "joe-list-return-@lists.example.org") {
    return mail.recipients.length === 2 ? "all moderators" : "that moderator";
  }
  return mail?.sender.startsWith("joe-list-discard-") ? "confirm" : "nothing";
}

async function verdict(list: TestList, sender: string): Promise<string> {
  const post = await deliver(list, { sender, message: postText() });
  if (post.code === 100) {
    expect(post.mails).toEqual([]);
    return "refused";
  }
  expect([post.code, post.mails.length], post.text).toEqual([0, 1]);
  if (kind(post.mails[0]) !== "confirm") return checked(post, sender);
  expect(post.mails[0]?.recipients).toEqual([sender]);
  const to = commandIn(post.mails[0], "Reply-To", list);
  const yes = await deliver(list, { to, sender, message: "Subject: Re: Confirm\n\nyes\n" });
  expect([yes.code, yes.mails.length], yes.text).toEqual([0, 1]);
  return `confirm, then ${checked(yes, sender)}`;
}

function checked(post: Delivered, sender: string): string {
  const [mail] = post.mails;
  const what = kind(mail);
  if (what === "that moderator") expect(mail?.recipients).toEqual([sender]);
  return what;
}

const matrix: readonly (readonly [string, Verdict, Verdict, Verdict])[] = [
  // switches, non-subscriber, subscriber, moderator
  ["UMY", "sent", "sent", "sent"],
  ["m", "all moderators", "all moderators", "that moderator"],
  ["mo", "refused", "refused", "that moderator"],
  ["u", "refused", "sent", "sent"],
  ["um", "all moderators", "sent", "sent"],
  ["y", "confirm, then sent", "confirm, then sent", "confirm, then sent"],
  [
    "ym",
    "confirm, then all moderators",
    "confirm, then all moderators",
    "confirm, then that moderator",
  ],
  ["uy", "refused", "confirm, then sent", "confirm, then sent"],
  ["umy", "confirm, then all moderators", "confirm, then sent", "confirm, then sent"],
];

describe.each(matrix)("a post to a list made with -%s", (switches, ...expected) => {
  const senders = [STRANGER, READER, MODERATOR];
  let list: TestList;
  beforeEach(async () => {
    list = await listWith(switches);
  });

  test.each(senders.map((sender, at) => [sender, expected[at]] as const))(
    "by %s: %s",
    async (sender, what) => {
      expect(await verdict(list, sender)).toBe(what);
    },
  );

  test("by somebody in deny: refused before everything", async () => {
    const post = await deliver(list, { sender: BLOCKED, message: postText() });
    expect([post.code, post.mails]).toEqual([100, []]);
    expect(post.text).toContain("refuse your mail");
  });

  test("by a bounce: refused", async () => {
    for (const sender of ["", "#@[]"]) {
      const post = await deliver(list, { sender, message: postText() });
      expect([post.code, post.mails], sender).toEqual([100, []]);
    }
  });
});

describe("whoever counts as a subscriber", () => {
  test.each([
    ["digest", "d@sub.example"],
    ["allow", "a@sub.example"],
    ["allow", "@sub.example"],
  ])("an entry in %s lets in: %s", async (db, entry) => {
    const list = await listWith("u");
    await list.run("ezmlm-sub", { args: ["{DIR}", db, entry] });
    const sender = entry.startsWith("@") ? "anybody@SUB.example" : entry;
    expect(await verdict(list, sender)).toBe("sent");
  });

  test("an address inside SRS or BATV is who it is", async () => {
    const list = await listWith("u");
    const post = await deliver(list, {
      sender: `SRS0=abcd=ef=sub.example=reader@forwarder.example`,
      message: postText(),
    });
    expect([post.code, kind(post.mails[0])]).toEqual([0, "sent"]);
  });

  test("everybody at a moderators' domain is asked about an own post, nobody writes to `@domain`", async () => {
    const list = await listWith("m");
    await list.run("ezmlm-sub", { args: ["{DIR}", "mod", "@staff.example"] });
    const own = await deliver(list, { sender: "eve@staff.example", message: postText() });
    expect(own.mails[0]?.recipients).toEqual(["eve@staff.example"]);
    const other = await deliver(list, { sender: STRANGER, message: postText() });
    expect([...(other.mails[0]?.recipients ?? [])].sort()).toEqual([
      MODERATOR,
      "second@example.com",
    ]);
  });
});

describe("a sublist", () => {
  test("takes what its parent sends, without reject and deny, and nothing else", async () => {
    const list = await makeList(["-0", "parent@h.example"]);
    await list.run("ezmlm-sub", { args: ["{DIR}", READER] });
    const fromParent = `Mailing-List: contact parent-help@h.example; run by ezmlm\n${postText("", "Text.\n", "parent")}`;
    const sender = "parent-return-77-joe-list=lists.example.org@h.example";
    const post = await deliver(list, { sender, message: fromParent });
    expect([post.code, post.mails[0]?.recipients]).toEqual([0, [READER]]);
    const stranger = await deliver(list, { sender: STRANGER, message: fromParent });
    expect([stranger.code, stranger.mails]).toEqual([100, []]);
    const bare = await deliver(list, { sender, message: postText() });
    expect([bare.code, bare.mails]).toEqual([100, []]);
  });
});
