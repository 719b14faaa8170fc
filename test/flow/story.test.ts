/** The life of a list over real sockets: the whole system as a newcomer starts it. */
import { readdirSync, readFileSync, renameSync } from "node:fs";
import { createServer, type Server, type Socket } from "node:net";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type Received, receive, send } from "../../src/demo/mail.ts";
import { DemoSite } from "../../src/demo/site.ts";
import { root } from "../support/root.ts";

const ANN = "ann@remote.test";
const BOB = "bob@remote.test";
const EVE = "eve@elsewhere.test";

const site = new DemoSite({
  root,
  uid: process.getuid?.() ?? 1,
  gid: process.getgid?.() ?? 1,
  env: process.env,
});
const seen = new Set<string>();
const read = (reader: string): Promise<Received> => receive(site, reader, seen);
const mail = (from: string, to: string, subject = "", text = "", sender?: string): Promise<void> =>
  send(site, { from, to, subject, text, ...(sender === undefined ? {} : { sender }) });
const replyTo = (received: Received): string => received.mail.replyTo?.value[0]?.address ?? "";
const members = (list: string): string[] =>
  site.run("ezmlm-list", list).output.split("\n").filter(Boolean);

async function join_(reader: string, list: string): Promise<Received> {
  await mail(reader, `${list}-subscribe@list.test`);
  const request = await read(reader);
  await mail(reader, replyTo(request), "Re: yes");
  return read(reader);
}

beforeAll(async () => {
  // Local names that the story needs: the postmaster's mailbox, and an address that forwards to itself.
  site.write("lists/.qmail-postmaster", "&postmaster@mailbox.test\n");
  site.write("lists/.qmail-loop", "&loop@list.test\n");
  await site.start();
  const made = site.run(
    "ezmlm-make",
    "-d",
    "lists/hello",
    "lists/.qmail-hello",
    "hello",
    "list.test",
  );
  expect(made).toEqual({ code: 0, output: "" });
});

afterAll(() => site.close());

describe("joining and leaving", () => {
  test("a reply to the request subscribes, and a welcome says so", async () => {
    await mail(ANN, "hello-subscribe@list.test");
    const request = await read(ANN);
    expect(request.mail.subject).toBe("confirm subscribe to hello@list.test");
    expect(replyTo(request)).toMatch(/^hello-sc\.\d+\.[a-p]{20}-ann=remote\.test@list\.test$/);
    expect(members("lists/hello")).toEqual([]);
    await mail(ANN, replyTo(request), "Re: yes");
    expect((await read(ANN)).mail.subject).toBe("WELCOME to hello@list.test");
    expect(members("lists/hello")).toEqual([ANN]);
  });

  test("a forged, altered or expired cookie subscribes nobody", async () => {
    await mail(EVE, "hello-subscribe@list.test");
    const address = replyTo(await read(EVE));
    const [, cookie = ""] = /\.([a-p]{20})-/.exec(address) ?? [];
    const forged = address.replace(
      cookie,
      cookie.replace(/^./, (letter) => (letter === "a" ? "b" : "a")),
    );
    const altered = address.replace("eve=", "ada=");
    const expired = address.replace(/sc\.\d+/, "sc.1000000000");
    for (const wrong of [forged, expired]) {
      await mail(EVE, wrong);
      expect(replyTo(await read(EVE)), "a fresh request").toMatch(/^hello-sc\./);
    }
    await mail(EVE, altered);
    expect(replyTo(await read("ada@elsewhere.test"))).toContain("ada=");
    expect(members("lists/hello")).toEqual([ANN]);
  });

  test("unsubscribing takes a reply as well", async () => {
    await join_(EVE, "hello");
    expect(members("lists/hello").sort()).toEqual([ANN, EVE]);
    await mail(EVE, "hello-unsubscribe@list.test");
    const request = await read(EVE);
    expect(replyTo(request)).toContain("hello-uc.");
    expect(members("lists/hello")).toContain(EVE);
    await mail(EVE, replyTo(request));
    expect((await read(EVE)).mail.subject).toBe("GOODBYE from hello@list.test");
    expect(members("lists/hello")).toEqual([ANN]);
  });
});

describe("posting", () => {
  test("a post reaches every subscriber once, under a return address of its own, numbered and archived", async () => {
    expect((await join_(BOB, "hello")).mail.subject).toBe("WELCOME to hello@list.test");
    await mail(ANN, "hello@list.test", "First post", "Hello, list!");
    for (const reader of [ANN, BOB]) {
      const copy = await read(reader);
      expect(copy.sender).toBe(`hello-return-1-${reader.replace("@", "=")}@list.test`);
      expect(copy.mail.subject).toBe("First post");
      const names = copy.mail.headerLines.map(({ key }) => key);
      for (const name of [
        "mailing-list",
        "list-help",
        "list-unsubscribe",
        "list-subscribe",
        "list-post",
        "precedence",
      ]) {
        expect(
          names.filter((key) => key === name),
          name,
        ).toHaveLength(1);
      }
    }
    expect(readFileSync(join(site.base, "lists/hello/archive/0/01"), "utf8")).toContain(
      "Hello, list!",
    );
    expect(readFileSync(join(site.base, "lists/hello/num"), "utf8")).toMatch(/^1:/);
    expect(
      site.arrived().filter((name) => !seen.has(name)),
      "no second copy",
    ).toEqual([]);
  });

  test("-get, -index, -thread, -help, -info and -faq answer", async () => {
    await mail(BOB, "hello@list.test", "Re: First post", "I am here.");
    await read(ANN);
    await read(BOB);
    const answers: [string, RegExp][] = [
      ["get.1", /First post/],
      ["get.1_5", /I am here|First post/],
      ["index", /1: First post/],
      ["thread.1", /First post/],
      ["help", /hello-subscribe@list\.test|help/],
      ["info", /./],
      ["faq", /./],
    ];
    for (const [command, expected] of answers) {
      await mail(ANN, `hello-${command}@list.test`);
      const answer = await read(ANN);
      expect(answer.source, command).toMatch(expected);
      expect(answer.mail.headers.get("auto-submitted"), command).toBe("auto-replied");
    }
  });

  test("a bounce to the return address is recorded for that subscriber", async () => {
    await mail(
      "MAILER-DAEMON@remote.test",
      "hello-return-1-bob=remote.test@list.test",
      "failure notice",
      "No such user.",
      "",
    );
    const records = (): string[] =>
      site
        .files("lists/hello/bounce/d")
        .filter((part) => /^\d+$/.test(part)) // a bounce being written lies beside the slots
        .flatMap((part) =>
          site.files(`lists/hello/bounce/d/${part}`).map((name) => `${part}/${name}`),
        )
        .filter((path) => /\/d\d+\./.test(path));
    await site.waitFor("the record", () => records().length > 0);
    const record = join(site.base, "lists/hello/bounce/d", records()[0] ?? "");
    expect(readFileSync(record, "utf8").startsWith(`${BOB}\0`)).toBe(true);
  });
});

describe("mail that goes nowhere", () => {
  test("an unknown local address bounces to the sender", async () => {
    await mail(ANN, "nobody-here@list.test", "hello?");
    const bounce = await read(ANN);
    expect(bounce.sender).toBe("");
    expect(bounce.mail.text).toContain("<nobody-here@list.test>:");
    expect(bounce.mail.text).toContain("no mailbox here by that name. (#5.1.1)");
  });

  test("a bounce of a bounce goes to postmaster", async () => {
    await mail("x@list.test", "nobody-here@list.test", "lost", "", "nobody-else@list.test");
    const double = await read("postmaster@mailbox.test");
    expect(double.mail.text).toContain("<nobody-else@list.test>:");
  });

  test("a loop ends", async () => {
    await mail(ANN, "loop@list.test", "round and round");
    expect((await read(ANN)).mail.text).toContain("This message is looping");
  });
});

describe("commands", () => {
  test("qmail-inject and sendmail -t queue, also while the server is stopped", async () => {
    expect(
      site.pipe(
        "To: ann@remote.test\nSubject: injected\n\nhi\n",
        "qmail-inject",
        "-fpaul@list.test",
      ).code,
    ).toBe(0);
    expect((await read(ANN)).mail.subject).toBe("injected");
    expect(await site.stop()).toBe(0);
    expect(site.recentLog.trimEnd().split("\n").at(-1)).toBe("status: exiting");
    expect(
      site.pipe(
        "From: paul@list.test\nTo: ann@remote.test\nSubject: while stopped\n\nhi\n",
        "sendmail",
        "-t",
      ).code,
    ).toBe(0);
    await site.start();
    expect((await read(ANN)).mail.subject).toBe("while stopped");
  });
});

describe("a moderated list", () => {
  let first: Received;

  test("a post goes to the moderators; a comment travels with the refusal", async () => {
    site.run("ezmlm-make", "-m", "lists/news", "lists/.qmail-news", "news", "list.test");
    site.run("ezmlm-sub", "lists/news", ANN, BOB);
    site.run("ezmlm-sub", "lists/news", "mod", ANN);
    await mail(EVE, "news@list.test", "Big sale", "Buy now!");
    first = await read(ANN);
    expect(first.mail.subject).toBe("MODERATE for news@list.test");
    await mail(
      ANN,
      first.mail.from?.value[0]?.address ?? "",
      "Re: no",
      "> %%% start\n> Not here, please.\n> %%% end",
    );
    const refusal = await read(EVE);
    expect(refusal.mail.text).toContain("Not here, please.");
    expect(site.files("lists/news/mod/pending")).toEqual([]);
    expect(site.files("lists/news/archive/0")).toEqual([]);
  });

  test("a reply accepts, once", async () => {
    await mail(EVE, "news@list.test", "Meeting", "At noon.");
    const request = await read(ANN);
    await mail(ANN, replyTo(request), "Re: yes");
    expect((await read(BOB)).mail.subject).toBe("Meeting");
    expect((await read(ANN)).mail.subject).toBe("Meeting");
  });

  test("what nobody decides about goes back to its author", async () => {
    await mail(EVE, "news@list.test", "Forgotten", "Anybody?");
    await read(ANN);
    const folder = join(site.base, "lists/news/mod/pending");
    const [name = ""] = readdirSync(folder);
    renameSync(join(folder, name), join(folder, "1000000000.1"));
    await mail(EVE, "news-help@list.test");
    const answers = [await read(EVE), await read(EVE)].map(({ mail: { subject } }) => subject);
    expect(answers).toContain("Returned post for news@list.test");
  });
});

test("a digest reaches its subscribers when enough posts have come", async () => {
  expect((await join_(EVE, "hello-digest")).mail.subject).toContain("WELCOME");
  site.write("lists/hello/digcount", "1\n");
  await mail(BOB, "hello@list.test", "Third", "More to read.");
  await read(ANN);
  await read(BOB);
  const digest = await read(EVE);
  expect(digest.mail.subject).toMatch(/^hello Digest .* Issue \d+$/);
  expect(digest.source).toContain("Content-Type: message/rfc822");
  expect(digest.source).toContain("More to read.");
});

test("a reader with a space in the address joins, gets a post and leaves", async () => {
  expect(
    site.run("ezmlm-make", "lists/space", "lists/.qmail-space", "space", "list.test").code,
  ).toBe(0);
  const reader = "quoted local@remote.test";
  const quoted = '"quoted local"@remote.test';
  const from = (to: string, subject = ""): Promise<void> =>
    mail("reader@remote.test", to, subject, "Text.\n", quoted);
  await from("space-subscribe@list.test");
  const request = await read(reader);
  await from(replyTo(request), "Re: yes");
  expect((await read(reader)).mail.subject).toBe("WELCOME to space@list.test");
  expect(members("lists/space")).toContain(reader);
  await from("space@list.test", "A post");
  const post = await read(reader);
  expect(post.sender).toBe('"space-return-1-quoted local=remote.test"@list.test');
  await from("space-unsubscribe@list.test");
  await from(replyTo(await read(reader)), "Re: yes");
  expect((await read(reader)).mail.subject).toBe("GOODBYE from space@list.test");
  expect(members("lists/space")).not.toContain(reader);
});

test("with unsubscribelink each copy has a link of its own, and any mail to it unsubscribes", async () => {
  const names = ["lists/links", "lists/.qmail-links", "links", "list.test"];
  expect(site.run("ezmlm-make", ...names).code).toBe(0);
  expect(site.run("ezmlm-sub", "lists/links", ANN, BOB).code).toBe(0);
  site.write("lists/links/unsubscribelink", "");
  await mail(EVE, "links@list.test", "Post", "Leave if you like.");
  const [anns, bobs] = [await read(ANN), await read(BOB)].map(({ source }) => {
    const fields = [...source.matchAll(/^List-Unsubscribe: <mailto:(.*)>$/gm)];
    expect(fields).toHaveLength(1);
    return fields[0]?.[1] ?? "";
  });
  expect(anns).toMatch(/^links-ul\.[a-p]{20}-ann=remote\.test@list\.test$/);
  await mail("button@provider.test", bobs ?? "");
  expect((await read(BOB)).mail.subject).toBe("GOODBYE from links@list.test");
  expect(members("lists/links")).toEqual([ANN]);
});

describe("a remote that is not well", () => {
  let sink: Server | undefined;
  const sockets = new Set<Socket>();
  const letters: string[] = [];

  afterAll(() => {
    for (const socket of sockets) socket.destroy();
    sink?.close();
  });

  /** A peer that answers every RCPT with `reply`. */
  function peer(port: number, reply: string): Promise<void> {
    sink = createServer((socket) => {
      sockets.add(socket);
      let inData = false;
      socket.on("error", () => {});
      socket.write("220 sink\r\n");
      let text = "";
      socket.on("data", (chunk) => {
        text += chunk;
        for (let end = text.indexOf("\r\n"); end >= 0; end = text.indexOf("\r\n")) {
          const line = text.slice(0, end);
          text = text.slice(end + 2);
          if (inData) {
            if (line === ".") inData = false;
            if (line === ".") socket.write("250 taken\r\n");
            letters.push(line);
          } else if (/^DATA/i.test(line)) {
            inData = true;
            socket.write("354 go\r\n");
          } else
            socket.write(
              /^RCPT/i.test(line)
                ? `${reply}\r\n`
                : /^QUIT/i.test(line)
                  ? "221 bye\r\n"
                  : "250 ok\r\n",
            );
        }
      });
    });
    return new Promise((resolve) => sink?.listen(port, "127.0.0.1", resolve));
  }

  test("down: the message waits, is listed, and leaves when the remote is back; 5xx bounces", async () => {
    const probe = createServer();
    await new Promise<void>((resolve) => probe.listen(0, "127.0.0.1", resolve));
    const { port } = probe.address() as { port: number };
    await new Promise((resolve) => probe.close(resolve));
    await site.stop();
    site.write("home/control/smtproutes", `away.example:127.0.0.1:${port}\n`);
    await site.start();
    site.pipe("Subject: patience\n\nhi\n", "qmail-inject", "-fann@remote.test", "joe@away.example");
    await site.waitFor("the deferral", () =>
      site.recentLog.includes("deferral: Sorry,_I_wasn't_able_to_establish"),
    );
    expect(site.run("qmail-qread").output).toContain("\tremote\tjoe@away.example");
    expect(site.run("qmail-qstat").output).toContain("messages in queue: 1\n");
    await peer(port, "250 ok");
    // What a postmaster does: forget the time-outs, try everything now.
    expect(site.run("qmail-tcpok").code).toBe(0);
    site.signal("SIGALRM");
    await site.waitFor("delivery", () => letters.includes("Subject: patience"));
    await site.waitFor("an empty queue", () =>
      site.run("qmail-qstat").output.includes("messages in queue: 0\n"),
    );
    for (const socket of sockets) socket.destroy();
    await new Promise((resolve) => sink?.close(resolve));
    await peer(port, "550 no such user here");
    site.pipe("Subject: refused\n\nhi\n", "qmail-inject", "-fann@remote.test", "joe@away.example");
    const bounce = await read(ANN);
    expect(bounce.mail.text).toContain("550 no such user here");
  });
});
