/**
 * NAME         ezqmail-demo - the life of a mailing list, played in the terminal
 *
 * SYNOPSIS     ezqmail-demo
 *
 * DESCRIPTION  Starts the server on a free port in a throw-away home, makes a list, and lets three
 *              people join it, post, read the archive, bounce, moderate and get a digest. Every
 *              command is shown as typed, every mail as its reader sees it. Takes a few seconds
 *              and leaves nothing behind.
 *
 * EXIT CODES   0 all went as told; 111 something did not, with the end of the server's log.
 *
 * SEE ALSO     ezmlm-make, qmail-start
 */

import { TemporaryError } from "../lib/errors.ts";
import { SUCCESS } from "../lib/exit-code.ts";
import type { Host, Program } from "../lib/program.ts";
import { type Letter, type Received, receive, send } from "./mail.ts";
import { DemoSite } from "./site.ts";
import { Stage } from "./stage.ts";

const ANN = "ann@remote.test";
const BOB = "bob@remote.test";
const EVE = "eve@elsewhere.test";

export const ezqmailDemo: Program = {
  name: "ezqmail-demo",
  usage: "ezqmail-demo",
  async run(host) {
    const site = new DemoSite(host);
    try {
      await new Story(host, site).play();
    } finally {
      await site.close();
    }
    return SUCCESS;
  },
};

class Story {
  private readonly site: DemoSite;
  private readonly stage: Stage;
  private readonly seen = new Set<string>();

  constructor(host: Host, site: DemoSite) {
    this.site = site;
    this.stage = new Stage(
      host.stdout,
      host.env.TERM !== undefined && host.env.TERM !== "dumb" && !host.env.NO_COLOR,
    );
  }

  async play(): Promise<void> {
    await this.site.start();
    this.stage.say(`A fresh home in ${this.site.home}, listening on 127.0.0.1:${this.site.port}.`);
    this.makeList();
    await this.join(ANN);
    await this.join(BOB, true);
    this.command("ezmlm-list", "lists/hello");
    await this.post();
    await this.archive();
    await this.bounce();
    await this.moderate();
    await this.digest();
    await this.leave();
    this.stage.title("That was it");
    this.stage.say("Everything is removed again. Your own: npm start, then bin/ezmlm-make.");
  }

  private makeList(): void {
    this.stage.title("An owner makes a list");
    this.command("ezmlm-make", "-d", "lists/hello", "lists/.qmail-hello", "hello", "list.test");
  }

  private async join(reader: string, brief = false): Promise<void> {
    this.stage.title(`${name(reader)} joins by mail`);
    await this.send({
      from: reader,
      to: "hello-subscribe@list.test",
      subject: "let me in",
      text: "please",
    });
    const request = await this.read(reader, brief);
    const cookie = request.mail.replyTo?.value[0]?.address ?? "";
    if (!brief)
      this.stage.say(
        `${name(reader)} just presses Reply. The address carries a cookie only the list can make:`,
      );
    await this.send({
      from: reader,
      to: cookie,
      subject: `Re: ${request.mail.subject}`,
      text: "yes",
    });
    await this.read(reader, brief);
  }

  private async post(): Promise<void> {
    this.stage.title("Ann posts; everybody gets a copy");
    await this.send({
      from: ANN,
      to: "hello@list.test",
      subject: "First post",
      text: "Hello, list! Is anybody there?",
    });
    const copy = await this.read(BOB);
    await this.read(ANN, true);
    this.stage.say("What the list put into the header of Bob's copy:");
    this.stage.quote(
      copy.source
        .split("\n\n")[0]
        ?.split("\n")
        .filter((line) => /^(Return-Path|Mailing-List|List-|Precedence)/.test(line))
        .join("\n") ?? "",
    );
    this.stage.say("The Return-Path names Bob: a bounce to it says whose mailbox is in trouble.");
  }

  private async archive(): Promise<void> {
    this.stage.title("Bob reads the archive by mail");
    await this.send({ from: BOB, to: "hello-get.1@list.test", subject: "", text: "" });
    const reply = await this.read(BOB, true);
    this.stage.quote(reply.mail.text?.split("\n").slice(0, 9).join("\n") ?? "");
    await this.send({ from: BOB, to: "hello-index@list.test", subject: "", text: "" });
    const index = await this.read(BOB, true);
    this.stage.quote(index.mail.text?.split("\n").slice(0, 5).join("\n") ?? "");
  }

  private async bounce(): Promise<void> {
    this.stage.title("Bob's mailbox breaks");
    const to = "hello-return-1-bob=remote.test@list.test";
    await this.send({
      from: "MAILER-DAEMON@remote.test",
      sender: "",
      to,
      subject: "failure notice",
      text: "Hi. This is the mail system at remote.test.\nbob: no such user (#5.1.1)",
    });
    await this.site.waitFor("the bounce record", () => this.recorded());
    this.stage.say(
      "Recorded under lists/hello/bounce. If it goes on, Bob is warned, probed, and at last removed.",
    );
  }

  private recorded(): boolean {
    return this.site.files("lists/hello/bounce/d").length > 0;
  }

  private async moderate(): Promise<void> {
    this.stage.title("A moderated list");
    this.command("ezmlm-make", "-m", "lists/news", "lists/.qmail-news", "news", "list.test");
    this.command("ezmlm-sub", "lists/news", ANN, BOB);
    this.command("ezmlm-sub", "lists/news", "mod", ANN);
    await this.send({ from: EVE, to: "news@list.test", subject: "Big sale", text: "Buy now!" });
    const first = await this.read(ANN);
    this.stage.say("Ann rejects it, with a word to the author between %%% lines.");
    await this.send({
      from: ANN,
      to: first.mail.from?.value[0]?.address ?? "",
      subject: "Re: no",
      text: "%%% start\nNo advertising here, please.\n%%% end",
    });
    await this.read(EVE);
    await this.send({
      from: EVE,
      to: "news@list.test",
      subject: "Meeting on Monday",
      text: "At noon, in the library.",
    });
    const second = await this.read(ANN, true);
    this.stage.say("This one she accepts: a plain reply is enough.");
    await this.send({
      from: ANN,
      to: second.mail.replyTo?.value[0]?.address ?? "",
      subject: "Re: ok",
      text: "",
    });
    await this.read(BOB, true);
    await this.read(ANN, true);
  }

  private async digest(): Promise<void> {
    this.stage.title("Eve prefers a digest");
    await this.send({ from: EVE, to: "hello-digest-subscribe@list.test", subject: "", text: "" });
    const request = await this.read(EVE, true);
    await this.send({
      from: EVE,
      to: request.mail.replyTo?.value[0]?.address ?? "",
      subject: "Re: yes",
      text: "",
    });
    await this.read(EVE, true);
    this.stage.say(
      "A digest is due after 30 messages, 64 KB or 48 hours. The owner lowers the number:",
    );
    this.stage.typed("echo 2 > lists/hello/digcount");
    this.site.write("lists/hello/digcount", "2\n");
    await this.send({
      from: BOB,
      to: "hello@list.test",
      subject: "Re: First post",
      text: "I am here!",
    });
    await this.read(ANN, true);
    await this.read(BOB, true);
    const digest = await this.read(EVE, true);
    this.stage.quote(digest.mail.text?.split("\n").slice(0, 12).join("\n") ?? "");
    const parts = [...digest.source.matchAll(/filename="([^"]+)"/g)].map((match) => match[1]);
    this.stage.say(`Enclosed: ${parts.join(", ")}`);
  }

  private async leave(): Promise<void> {
    this.stage.title("Ann leaves");
    await this.send({ from: ANN, to: "hello-unsubscribe@list.test", subject: "", text: "" });
    const request = await this.read(ANN, true);
    await this.send({
      from: ANN,
      to: request.mail.replyTo?.value[0]?.address ?? "",
      subject: "Re: yes",
      text: "",
    });
    await this.read(ANN, true);
    this.command("ezmlm-list", "lists/hello");
  }

  private command(program: string, ...args: string[]): void {
    this.stage.typed([`bin/${program}`, ...args].join(" "));
    const done = this.site.run(program, ...args);
    if (done.output) this.stage.quote(done.output.trimEnd());
    if (done.code !== SUCCESS) throw new TemporaryError(`${program} ended with ${done.code}.`);
  }

  private async send(letter: Letter): Promise<void> {
    this.stage.sent(letter);
    await send(this.site, letter);
  }

  private async read(reader: string, brief = false): Promise<Received> {
    const received = await receive(this.site, reader, this.seen);
    this.stage.received(name(reader), received, brief);
    return received;
  }
}

/** `Ann` of `ann@remote.test`. */
function name(address: string): string {
  const local = address.slice(0, address.indexOf("@"));
  return `${local.charAt(0).toUpperCase()}${local.slice(1)}`;
}
