/** DIR/unsubscribelink: a List-Unsubscribe in each copy, and what mail to it does. */
import { expect, test } from "vitest";
import { HeaderPrefix } from "../../../src/lib/header-prefix.ts";
import { type BareList, bareList } from "../../support/bare-list.ts";
import { headerOf, RecorderQueue } from "../../support/ezmlm.ts";

const post = `From: joe@example.com
To: joe-list@lists.example.org
Subject: x
List-Unsubscribe: <mailto:x@y.z>
List-Unsubscribe-Post: List-Unsubscribe=One-Click

hello
`;
const env = { SENDER: "joe@example.com" };

/** The fields in front of Ann's copy, unfolded. */
async function copyFor(list: BareList, address: string): Promise<string> {
  const { mails } = await list.run("ezmlm-send", { env, stdin: post });
  return new HeaderPrefix(mails[0]?.prefix ?? "", "\n").fill(address).replaceAll(",\n ", ", ");
}

/** The command in the mailto link: what DEFAULT is when mail comes to it. */
async function linkOf(list: BareList, address: string): Promise<string> {
  const link = /<mailto:joe-list-([^@>]+)@lists\.example\.org>/.exec(await copyFor(list, address));
  return decodeURIComponent(link?.[1] ?? "");
}

function mailTo(list: BareList, command: string, sender = "button@provider.example") {
  return list.run("ezmlm-manage", {
    stdin: "From: x@provider.example\nSubject: \n\n",
    env: { SENDER: sender, DEFAULT: command },
  });
}

test("without the file nothing changes, with it List-Unsubscribe is for each copy alone", async () => {
  const list = await bareList();
  const before = await list.run("ezmlm-send", { env, stdin: post });
  expect(before.mails[0]?.prefix).toBeUndefined();
  expect(before.mails[0]?.header).toContain(
    "List-Unsubscribe: <mailto:joe-list-unsubscribe@lists.example.org>",
  );
  list.write("unsubscribelink");
  const { mails } = await list.run("ezmlm-send", { env, stdin: post });
  expect(mails[0]?.bytes.toString()).not.toMatch(/List-Unsubscribe/i);
  expect(mails[0]?.bytes.toString()).toContain("List-Subscribe: ");
  expect(new HeaderPrefix(mails[0]?.prefix ?? "", "\n").fill("ann@example.net")).toMatch(
    /^List-Unsubscribe: <mailto:joe-list-ul\.[a-p]{20}-ann=example\.net@lists\.example\.org>\n$/,
  );
  expect(list.read("archive/0/02")).not.toContain("-ul.");
});

test("an https URL in the file makes it one click", async () => {
  const list = await bareList({ unsubscribelink: "https://lists.example.org/u/<#l#>?\n" });
  const copy = await copyFor(list, "ann@example.net");
  const [, token] = /<https:\/\/lists\.example\.org\/u\/joe-list\?([^>]*)>/.exec(copy) ?? [];
  expect(copy).toContain(`<mailto:joe-list-ul.${token}@lists.example.org>\n`);
  expect(copy).toMatch(/\nList-Unsubscribe-Post: List-Unsubscribe=One-Click\n$/);
});

test.each(["http://x.example/", "https://x.example/ a", "https://é.example/", "https://x>\nX: y"])(
  "a file that says %j makes the post wait",
  async (text) => {
    const list = await bareList({ unsubscribelink: text });
    const ran = await list.run("ezmlm-send", { env, stdin: post });
    expect([ran.code, ran.mails]).toEqual([111, []]);
    expect(ran.stderr).toContain("unsubscribelink must be empty or hold an https URL");
  },
);

test("where QMAILQUEUE stands the ordinary field stays", async () => {
  const list = await bareList({ unsubscribelink: "" });
  const queue = new RecorderQueue();
  queue.carriesPrefix = false;
  const { mails } = await list.run("ezmlm-send", { env, stdin: post, queue });
  expect(mails[0]?.prefix).toBeUndefined();
  expect(mails[0]?.header).toContain(
    "List-Unsubscribe: <mailto:joe-list-unsubscribe@lists.example.org>",
  );
});

test("mail to the link removes the subscriber, whoever sends it, and says goodbye", async () => {
  const list = await bareList({ unsubscribelink: "", public: "" }, ["ann@example.net", "b@c.de"]);
  const ran = await mailTo(list, await linkOf(list, "ann@example.net"));
  expect(ran.code).toBe(0);
  expect(ran.mails[0]?.recipients).toEqual(["ann@example.net"]);
  expect(headerOf(ran.mails[0] as never).take("Subject")).toMatch(/^GOODBYE/);
  expect((await list.run("ezmlm-list")).stdout).toBe("b@c.de\n");
});

test("also on a list that is not public, and for an address with signs in it", async () => {
  const list = await bareList({ unsubscribelink: "" }, ["a+b%c=d@example.net"]);
  expect((await mailTo(list, await linkOf(list, "a+b%c=d@example.net"))).code).toBe(0);
  expect((await list.run("ezmlm-list")).stdout).toBe("");
});

test("a wrong link, or that of somebody else, is a request to be confirmed", async () => {
  const list = await bareList({ unsubscribelink: "", public: "" }, ["ann@example.net", "b@c.de"]);
  const link = (await linkOf(list, "b@c.de")).replace("b=c.de", "ann=example.net");
  const ran = await mailTo(list, link);
  expect(ran.mails[0]?.recipients).toEqual(["ann@example.net"]);
  expect(headerOf(ran.mails[0] as never).take("Reply-To")).toContain("-uc.");
  expect((await list.run("ezmlm-list")).stdout).toBe("ann@example.net\nb@c.de\n");
  list.write("key", "another key\n");
  expect((await mailTo(list, await linkOf(list, "b@c.de"))).mails[0]?.recipients).toEqual([
    "b@c.de",
  ]);
});

test("a digest has links of the digest, which are good for nothing else", async () => {
  const files = { unsubscribelink: "", public: "", archived: "", indexed: "", "digest/x": "" };
  const list = await bareList(files, ["ann@example.net"]);
  await list.subscribe("digest", "ann@example.net");
  await list.run("ezmlm-send", { env, stdin: post });
  const { mails } = await list.run("ezmlm-get", { stdin: "\n", env: {} });
  const digest = mails.find((mail) => mail.sender.includes("-digest-return-"));
  expect(digest?.bytes.toString()).not.toMatch(/^List-Unsubscribe/im);
  const filled = new HeaderPrefix(digest?.prefix ?? "", "\n").fill("ann@example.net");
  const command = /<mailto:joe-list-(digest-ul\.[^@]+)@/.exec(filled)?.[1] ?? "";
  const wrong = await mailTo(list, command.replace("digest-", ""));
  expect(headerOf(wrong.mails[0] as never).take("Reply-To")).toContain("-uc.");
  expect((await mailTo(list, command)).code).toBe(0);
  expect((await list.run("ezmlm-list", { args: ["{DIR}", "digest"] })).stdout).toBe("");
  expect((await list.run("ezmlm-list")).stdout).toBe("ann@example.net\n");
});
