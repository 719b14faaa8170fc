import { describe, expect, test } from "vitest";
import { TemporaryError } from "../../../src/lib/errors.ts";
import { type BareList, bareList } from "../../support/bare-list.ts";
import {
  headerOf,
  type RecordedMail,
  RecorderQueue,
  type RunResult,
  runCommand,
  ways,
} from "../../support/ezmlm.ts";
import { handOver } from "../../support/hand-over.ts";
import { normalise } from "../../support/normalise.ts";

const REQUEST = `Received: from there by here; 14 Nov 2023 22:13:19 -0000
From: Ann <ann@other.example>
To: joe-list-subscribe@lists.example.org
Subject: hello

please
`;

const ann = "ann@other.example";
const mod = "mod@example.com";

function ask(
  list: BareList,
  command: string,
  sender = ann,
  more: { args?: string[]; stdin?: string; queue?: RecorderQueue; now?: Date } = {},
): Promise<RunResult> {
  return list.run("ezmlm-manage", {
    stdin: REQUEST,
    env: { SENDER: sender, DEFAULT: command },
    ...more,
  });
}

function only(ran: RunResult): RecordedMail {
  expect(ran.stderr + ran.mails.length).toMatch(/1$/);
  return ran.mails[0] as RecordedMail;
}

/** The command a reply to this mail would be: what DEFAULT is then. */
function replyCommand(mail: RecordedMail): string {
  const address = headerOf(mail).take("Reply-To");
  return address.slice("joe-list-".length, address.lastIndexOf("@"));
}

const remote = { remote: "", modcanlist: "", modcanedit: "" };

async function moderated(files: Record<string, string> = remote): Promise<BareList> {
  const list = await bareList(files, []);
  await list.subscribe("mod", mod);
  return list;
}

describe("subscribing and leaving (golden G4)", () => {
  test.each(ways)("the request is answered %s as ezmlm does", async (_name, run) => {
    const list = await bareList({}, []);
    if (run === runCommand) handOver(list.dir);
    const ran = await run("ezmlm-manage", {
      args: [list.dir],
      stdin: REQUEST,
      env: { SENDER: ann, DEFAULT: "subscribe" },
    });
    expect([ran.code, ran.stderr]).toEqual([0, expect.stringMatching(/^ezmlm-manage: info: qp /)]);
    const mail = only(ran);
    expect(mail.sender).toBe("joe-list-return-@lists.example.org");
    expect(mail.recipients).toEqual([ann]);
    await expect(normalise(mail.bytes.toString())).toMatchFileSnapshot(
      "../../golden/manage/subscribe.eml",
    );
  });

  test("confirming subscribes, says welcome and writes the Log; leaving likewise", async () => {
    const list = await bareList({}, []);
    const confirm = replyCommand(only(await ask(list, "subscribe")));
    const welcome = only(await ask(list, confirm));
    const header = headerOf(welcome);
    expect(header.take("List-Unsubscribe")).toBe(
      "<mailto:joe-list-unsubscribe-ann=other.example@lists.example.org>",
    );
    expect(header.take("Subject")).toBe("WELCOME to joe-list@lists.example.org");
    expect(list.read("Log")).toMatch(/^\d+ \+ ann@other\.example Ann <ann@other\.example>\n$/);

    const leave = only(await ask(list, "unsubscribe"));
    expect(headerOf(leave).take("Subject")).toBe(
      "confirm unsubscribe from joe-list@lists.example.org",
    );
    const goodbye = only(await ask(list, replyCommand(leave)));
    expect(headerOf(goodbye).take("Subject")).toBe("GOODBYE from joe-list@lists.example.org");
    expect(list.read("Log")).toMatch(/\n\d+ - ann@other\.example/);
  });

  test.each(["quoted local@r.test", "who@home@r.test", "a @b=c d@r.test"])(
    "%s joins, gets the posts, posts and leaves; it is quoted wherever it is written",
    async (address) => {
      const list = await bareList({ subpostonly: "" }, []);
      const part = address.slice(0, address.lastIndexOf("@"));
      const request = only(await ask(list, "subscribe", address));
      expect(request.recipients).toEqual([address]);
      expect(headerOf(request).take("To")).toBe(`"${part}"@r.test`);
      expect(headerOf(request).take("Reply-To")).toMatch(
        /^"joe-list-sc\.\d+\.[a-p]{20}-.*=r\.test"@lists\.example\.org$/,
      );
      expect(request.body).toContain(`\n   "${part}"@r.test\n`);
      expect(request.body).toContain(`\nReturn-Path: <"${part}"@r.test>\n`);
      const confirm = async (mail: RecordedMail): Promise<RecordedMail> => {
        const [, command = ""] = /^"joe-list-(.*)"@/.exec(headerOf(mail).take("Reply-To")) ?? [];
        return only(await ask(list, command, address));
      };
      const welcome = await confirm(request);
      expect(headerOf(welcome).take("Subject")).toBe("WELCOME to joe-list@lists.example.org");

      const stdin = REQUEST.replace("-subscribe", "");
      const post = only(await list.run("ezmlm-send", { stdin, env: { SENDER: address } }));
      expect(post.recipients).toEqual([address]);
      expect(list.read("archive/0/01")).toContain(`Return-Path: <"${part}"@r.test>\n`);

      const leave = only(await ask(list, `unsubscribe-${part}=r.test`, address));
      const goodbye = await confirm(leave);
      expect(headerOf(goodbye).take("Subject")).toBe("GOODBYE from joe-list@lists.example.org");
      expect((await list.run("ezmlm-list")).stdout).toBe("");
    },
  );

  test.each([
    "@home@r.test",
    " a@r.test",
    "a @r.test",
    "a\tb@r.test",
    "a\u2028b@r.test",
    "a,b@r.test",
  ])("%j is refused", async (address) => {
    const ran = await ask(await bareList({}, []), "subscribe", address);
    expect([ran.code, ran.mails.length]).toEqual([100, 0]);
  });

  test("a request for somebody else is confirmed by that address, not by the sender", async () => {
    const list = await bareList({}, []);
    const mail = only(await ask(list, "subscribe-Bob=Example.NET", "evil@example.com"));
    expect(mail.recipients).toEqual(["Bob@Example.NET"]);
    await ask(list, replyCommand(mail), "Bob@Example.NET");
    const query = only(await ask(list, "query-bob=example.net"));
    expect(query.body).toContain("is on joe-list@lists.example.org");
  });

  test("nosubconfirm and -S subscribe at once", async () => {
    const list = await bareList({ nosubconfirm: "" }, []);
    const mail = only(await ask(list, "subscribe"));
    expect(headerOf(mail).take("Subject")).toBe("WELCOME to joe-list@lists.example.org");
    expect((await ask(list, "unsubscribe", ann, { args: ["-UN", "{DIR}"] })).mails).toEqual([]);
    expect(list.read("Log")).toContain("- ann@other.example");
  });

  test("owner hears of every change with -QQ and of failed removals with -Q", async () => {
    const list = await bareList({ nosubconfirm: "", nounsubconfirm: "" }, []);
    const owner = "joe-list-owner@lists.example.org";
    const args = ["-QQ", "{DIR}"];
    expect(only(await ask(list, "subscribe", ann, { args })).recipients).toEqual([ann, owner]);
    expect(only(await ask(list, "unsubscribe", ann, { args: ["-Q", "{DIR}"] })).recipients).toEqual(
      [ann],
    );
    expect(only(await ask(list, "unsubscribe", ann, { args: ["-Q", "{DIR}"] })).recipients).toEqual(
      [ann, owner],
    );
  });

  test("digest has its own database, addresses and cookies", async () => {
    const list = await bareList({ "digest/lock": "" }, []);
    const mail = only(await ask(list, "digest-subscribe"));
    expect(mail.sender).toBe("joe-list-digest-return-@lists.example.org");
    const confirm = replyCommand(mail);
    // The same cookie is none for the main list.
    await ask(list, confirm.replace(/^digest-/, ""));
    expect(list.has("Log")).toBe(false);
    await ask(list, confirm);
    expect(list.read("digest/Log")).toContain("+ ann@other.example");
  });

  test("a repeated delivery whose mail was queued sends nothing more", async () => {
    const list = await bareList({ nosubconfirm: "" }, []);
    const queue = new RecorderQueue();
    await ask(list, "subscribe", ann, { queue });
    await ask(list, "subscribe", ann, { queue });
    expect(queue.mails).toHaveLength(1);
  });

  test("a full queue is temporary", async () => {
    const list = await bareList({}, []);
    const queue = new RecorderQueue();
    queue.refuse = new TemporaryError("qq write error or disk full (#4.3.0)");
    expect((await ask(list, "subscribe", ann, { queue })).code).toBe(111);
  });
});

describe("forged, altered and old cookies", () => {
  const forge = "abcdefghijklmnopabcd";

  test.each(["sc", "uc"])("%s. changes nothing and brings a fresh request", async (kind) => {
    const list = await bareList({}, kind === "uc" ? [ann] : []);
    const now = Math.floor(Date.now() / 1000);
    for (const command of [
      `${kind}.${now}.${forge}-ann=other.example`,
      `${kind}.x-ann=other.example`,
    ]) {
      const mail = only(await ask(list, command));
      expect(mail.recipients).toEqual([ann]);
      expect(replyCommand(mail)).toMatch(
        new RegExp(`^${kind}\\.\\d+\\.[a-p]{20}-ann=other\\.example$`),
      );
      expect(mail.body).toContain("is not right, or it is too old");
    }
    const query = only(await ask(list, "query"));
    expect(query.body.includes("is not on")).toBe(kind === "sc");
  });

  test.each(["tc", "rc", "vc", "wc"])("%s. from a stranger is refused", async (kind) => {
    const list = await moderated();
    const ran = await ask(
      list,
      `${kind}.${Math.floor(Date.now() / 1000)}.${forge}-ann=other.example`,
    );
    expect([ran.code, ran.mails.length]).toEqual([100, 0]);
  });

  test.each([
    ["another target", (c: string) => c.replace("ann=", "eve=")],
    ["another time", (c: string) => c.replace(/\.(\d+)\./, (_a, n) => `.${Number(n) - 1}.`)],
    ["another step", (c: string) => c.replace(/^sc/, "uc")],
    ["one letter", (c: string) => c.replace(/[a-p]-ann/, (x) => `${x[0] === "a" ? "b" : "a"}-ann`)],
  ])("a cookie with %s changed does nothing", async (_what, change) => {
    const list = await bareList({}, []);
    const confirm = replyCommand(only(await ask(list, "subscribe")));
    await ask(list, change(confirm));
    expect(list.has("Log")).toBe(false);
  });

  test("a cookie is good for 1,000,000 seconds and not before its time", async () => {
    const list = await bareList({}, []);
    const made = Date.now();
    const confirm = replyCommand(only(await ask(list, "subscribe", ann, { now: new Date(made) })));
    for (const seconds of [1_000_002, -5]) {
      await ask(list, confirm, ann, { now: new Date(made + seconds * 1000) });
      expect(list.has("Log")).toBe(false);
    }
    await ask(list, confirm, ann, { now: new Date(made + 999_990_000) });
    expect(list.read("Log")).toContain("+ ann@other.example");
  });
});

describe("moderators", () => {
  test("a remote admin adds and removes; the person does not learn who it was", async () => {
    const list = await moderated();
    const asked = only(await ask(list, "subscribe-z=y.x", mod));
    expect(asked.recipients).toEqual([mod]);
    expect(replyCommand(asked)).toMatch(/^rc\./);
    const done = only(await ask(list, replyCommand(asked), mod));
    expect(done.recipients).toEqual(["z@y.x"]);
    expect(done.body).toMatch(/<suppressed>\n$/);
    expect(done.bytes.toString()).not.toContain("mod@example.com");
    expect(list.read("Log")).toMatch(/ \+mod z@y\.x\n$/);
    const leave = only(await ask(list, "unsubscribe-z=y.x", mod));
    expect(replyCommand(leave)).toMatch(/^wc\./);
    await ask(list, replyCommand(leave), mod);
    expect(list.read("Log")).toMatch(/ -mod z@y\.x\n$/);
  });

  test("modsub: the reply of the subscriber goes on to all moderators", async () => {
    const list = await moderated({ modsub: "" });
    await list.subscribe("mod", "two@example.com");
    const confirm = replyCommand(only(await ask(list, "subscribe")));
    const asked = only(await ask(list, confirm));
    expect([...asked.recipients].sort()).toEqual([mod, "two@example.com"]);
    expect(headerOf(asked).take("Subject")).toBe("CONFIRM subscribe to joe-list@lists.example.org");
    expect(list.has("Log")).toBe(false);
    const welcome = only(await ask(list, replyCommand(asked), mod));
    expect(welcome.recipients).toEqual([ann]);
    expect(list.read("Log")).toMatch(/ \+ ann@other\.example Ann <ann@other\.example>\n$/);
    expect((await ask(list, replyCommand(asked), "two@example.com")).mails).toEqual([]);
  });

  test("-m: removal from a modsub list needs a moderator", async () => {
    const list = await moderated({ modsub: "" });
    await list.subscribe("", ann);
    const args = ["-m", "{DIR}"];
    const confirm = replyCommand(only(await ask(list, "unsubscribe", ann, { args })));
    const asked = only(await ask(list, confirm, ann, { args }));
    expect(asked.recipients).toEqual([mod]);
    expect(replyCommand(asked)).toMatch(/^vc\./);
    await ask(list, replyCommand(asked), mod, { args });
    expect(list.read("Log")).toContain(" - ann@other.example");
  });

  test("deny and allow are changed without a word to the address", async () => {
    const list = await moderated({ ...remote, "allow/lock": "", "deny/lock": "" });
    const asked = only(await ask(list, "deny-subscribe-sp=am.mer", mod));
    expect(replyCommand(asked)).toMatch(/^deny-rc\./);
    const done = await ask(list, replyCommand(asked), mod);
    expect([done.code, done.mails.length]).toEqual([0, 0]);
    expect(list.read("deny/Log")).toContain("+mod sp@am.mer");
    expect((await ask(list, "deny-subscribe-a=b.c")).code).toBe(100);
    const allow = replyCommand(only(await ask(list, "allow-subscribe")));
    expect((await ask(list, allow)).mails).toEqual([]);
    expect(list.read("allow/Log")).toContain("+ ann@other.example");
  });

  test("list, listn and log go to the recorded address only", async () => {
    const list = await moderated();
    await list.subscribe("", ann, "bob@example.net");
    const mail = only(await ask(list, "list", "MOD@example.com"));
    expect(mail.recipients).toEqual([mod]);
    expect(mail.body).toContain("ann@other.example\n");
    expect(mail.body).toContain("\n\n  ======> 2\n");
    expect(only(await ask(list, "listn", mod)).body).not.toContain("bob@example.net");
    const log = only(await ask(list, "log.bob", mod)).body;
    expect(log).toMatch(/\d+ \w+ \d{4} [\d:]{8} -0000: \d+ \+manual bob@example\.net\n/);
    expect(log).not.toContain("+manual ann");
    for (const command of ["list", "listn", "log", "edit", "edit.info"]) {
      expect((await ask(list, command)).code).toBe(100);
    }
    const plain = await moderated({ remote: "" });
    expect((await ask(plain, "list", mod)).code).toBe(100);
  });

  test("help from a moderator has the moderator's part", async () => {
    const list = await moderated();
    const mail = only(await ask(list, "help", mod));
    expect(mail.body).toContain("You are a moderator");
    expect(headerOf(mail).take("From")).toBe("joe-list-return-@lists.example.org");
  });
});

describe("editing texts by mail", () => {
  async function fetched(list: BareList) {
    const mail = only(await ask(list, "edit.sub_ok", mod));
    return { command: replyCommand(mail), text: mail.body };
  }
  const quoted = (text: string): string =>
    `From: m\nContent-Type: text/plain; charset=utf-8\n\nhere it is\n${text
      .slice(text.indexOf("%%%"), text.lastIndexOf("TEXT FILE") + 9)
      .replace(/^/gm, "> ")}\nbye\n`;

  test("a site text comes with marks, goes back quoted and becomes the list's own", async () => {
    const list = await moderated();
    const { command, text } = await fetched(list);
    expect(text).toContain("%%% START OF TEXT FILE\nWelcome!");
    const ran = await ask(list, command, "any@where.example", {
      stdin: quoted(text).replace("Welcome!", "Hooray!"),
    });
    expect(only(ran).recipients).toEqual(["any@where.example"]);
    expect(list.read("text/sub-ok")).toMatch(/^Hooray! The address\n\n {3}\{\{address\}\}\n/);
    // Used once: the content changed, so the cookie is void.
    expect((await ask(list, command, mod, { stdin: quoted(text) })).code).toBe(100);
  });

  test("tells the moderator which text would not render, and where", async () => {
    const list = await moderated();
    const { command, text } = await fetched(list);
    const stdin = quoted(text).replace("{{address}}", "{{#if address}");
    expect((await ask(list, command, mod, { stdin })).stderr).toBe(
      'ezmlm-manage: fatal: Unable to use the text "sub-ok": line 3 does not make sense. (#5.6.0)\n',
    );
  });

  test("refuses a text that would not render, one without marks, one too long, an old cookie", async () => {
    const list = await moderated();
    const { command, text } = await fetched(list);
    const bad = [
      quoted(text).replace("{{address}}", "{{adress}}"),
      "Subject: x\n\nno marks\n",
      quoted(text).replace("Welcome!", "x".repeat(11_000)),
    ];
    for (const stdin of bad) expect((await ask(list, command, mod, { stdin })).code).toBe(100);
    const late = new Date(Date.now() + 100_100_000);
    expect((await ask(list, command, mod, { stdin: quoted(text), now: late })).code).toBe(100);
    expect((await ask(list, "edit.no_such", mod)).code).toBe(100);
    expect((await ask(list, "edit.../../key", mod)).code).toBe(100);
    expect(list.has("text/sub-ok")).toBe(false);
  });
});

describe("who is answered", () => {
  test.each([
    ["a bounce", "", 100],
    ["a double bounce", "#@[]", 100],
    ["a sender without host", "root", 100],
  ])("%s is refused", async (_what, sender, code) => {
    const ran = await ask(await bareList(), "help", sender);
    expect([ran.code, ran.mails.length]).toEqual([code, 0]);
  });

  test.each([
    ["a mailing list", "Mailing-List: x; run by y\n"],
    ["ourselves", "Delivered-To: responder for joe-list@lists.example.org\n"],
  ])("mail from %s is refused", async (_what, field) => {
    const ran = await ask(await bareList(), "subscribe", ann, { stdin: `${field}\nx\n` });
    expect([ran.code, ran.mails.length]).toEqual([100, 0]);
  });

  test.each([
    ["a line feed", "subscribe-a\nBcc: x=b.c"],
    ["a NUL", "subscribe-a\0=b.c"],
    ["two addresses", "subscribe-a@b.c,d=e.f"],
    ["angle brackets", "subscribe-<a=b.c>"],
    ["a blank host", "subscribe-a=b c"],
    ["no host", "subscribe-a="],
    ["the list itself", "subscribe-joe-list=lists.example.org"],
    ["a bare database", "allow"],
  ])("a target with %s is refused", async (_what, command) => {
    const ran = await ask(await bareList(), command);
    expect([ran.code, ran.mails.length]).toEqual([100, 0]);
  });

  test("anything unknown brings help, with a From nobody answers", async () => {
    const mail = only(await ask(await bareList(), "what-is-this"));
    expect(mail.recipients).toEqual([ann]);
    expect(headerOf(mail).take("From")).toBe("joe-list-return-@lists.example.org");
    expect(headerOf(mail).take("Auto-Submitted")).toBe("auto-replied");
  });

  test.each([
    ["info", ann, [ann], "Information about joe-list@lists.example.org"],
    ["FAQ-bob=example.net", ann, ["bob@example.net"], "Questions and answers about"],
    ["query-bob=example.net", ann, ["bob@example.net"], "Subscription status for"],
    ["query-bob=example.net", mod, [mod], "Subscription status for"],
    ["digest-help", ann, [ann], "Help for joe-list-digest@lists.example.org"],
    ["edit", mod, [mod], "Files that can be edited for"],
    ["edit.messages", mod, [mod], "EDIT messages for"],
    ["get.1", ann, [ann], "Message from the archive of"],
  ])("%s from %s is answered to %j", async (command, sender, to, subject) => {
    const list = await moderated();
    list.write("archive/0/01", "Subject: one\n\nbody\n");
    const { chmodSync } = await import("node:fs");
    chmodSync(`${list.dir}/archive/0/01`, 0o744);
    const mail = only(await ask(list, command, sender));
    expect(mail.recipients).toEqual(to);
    expect(headerOf(mail).take("Subject")).toContain(subject);
    if (command === "get.1") expect(mail.body).toContain("> Subject: one\n> \n> body\n");
  });

  test("-a names the text, -B leaves bottom and request out, -v is the version", async () => {
    const list = await bareList();
    const ran = await ask(list, "query", ann, { args: ["-aB", "{DIR}"] });
    expect(ran.stderr).toContain("info: sending unsub-nop\n");
    expect(only(ran).body).not.toContain("Every command is an address");
    expect((await ask(list, "query", ann, { args: ["-v"] })).stderr).toMatch(/^ezmlm version: /);
  });

  test("a closed list answers help, and its remote admin", async () => {
    const list = await moderated();
    const closed = await bareList({ remote: "" }, []);
    expect(list.has("public")).toBe(true);
    const { rmSync } = await import("node:fs");
    rmSync(`${closed.dir}/public`);
    await closed.subscribe("mod", mod);
    expect((await ask(closed, "subscribe")).code).toBe(100);
    expect((await ask(closed, "hel")).code).toBe(100);
    expect((await ask(closed, "help")).code).toBe(0);
    expect((await ask(closed, "subscribe-a=b.c", mod)).code).toBe(0);
  });

  test("usage: no DIR, two DIRs, an unknown option", async () => {
    const list = await bareList();
    for (const args of [[], ["{DIR}", "x"], ["-x", "{DIR}"]]) {
      const ran = await ask(list, "help", ann, { args });
      expect([ran.code, ran.stderr.includes("usage: ezmlm-manage")]).toEqual([100, true]);
    }
  });
});

describe("charsets", () => {
  test("utf-8:Q makes parts: encoded text, then the request", async () => {
    const list = await bareList({ charset: "utf-8:Q\n" }, []);
    list.write("text/sub-confirm", "Grüße an <#A#>\n");
    const mail = only(await ask(list, "subscribe"));
    await expect(normalise(mail.bytes.toString())).toMatchFileSnapshot(
      "../../golden/manage/subscribe-quoted-printable.eml",
    );
  });
});
