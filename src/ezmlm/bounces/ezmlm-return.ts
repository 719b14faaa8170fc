/**
 * NAME         ezmlm-return - record bounces of a list
 * SYNOPSIS     ezmlm-return [-dDvV] DIR
 * DESCRIPTION  Handles mail to LIST-return-...: the bounces of posts, warnings and probes. Stands in
 *              DIR/bouncer (and with -d in DIR/digest/bouncer) after ezmlm-weed.
 *              A bounce of post N for a subscriber is kept, once; further numbers are added to the
 *              subscriber's list of lost messages. The report of qmail-send on a post whose sender
 *              was not expanded, or a delivery status notification, names its recipients itself; of
 *              such a report each of them gets to see only the own part.
 *              A bounce of a warning is kept for ezmlm-warn, which sends a probe; a bounce of a probe
 *              removes the subscriber. Bounces of answers are dropped. Addresses that are no
 *              subscribers are ignored.
 * OPTIONS      -d  the digest list. -D  the main list (default).
 * ENVIRONMENT  SENDER, DEFAULT (required).
 * FILES        DIR/bounce/, DIR/digest/bounce/, lockbounce beside them, Log.
 * EXIT CODES   99 done, or nothing to do. 100 the address is none of ours. 111 temporary.
 * SECURITY     Warnings and probes are recognised by a cookie that is valid for 3,000,000 seconds.
 * BUGS         Addresses of clusters of lists (receipt-, m-, g-) are refused.
 * SEE ALSO     ezmlm-warn, ezmlm-weed, ezmlm-send
 */
import { quoteAddress } from "../../lib/address.ts";
import { unixSeconds } from "../../lib/date822.ts";
import { deriveHost } from "../../lib/derive-host.ts";
import { PermanentError } from "../../lib/errors.ts";
import { type ExitCode, STOP } from "../../lib/exit-code.ts";
import { type HeaderField, headerBytes } from "../../lib/header.ts";
import { type MessageInput, rereadable } from "../../lib/message-input.ts";
import { OptionTable } from "../../lib/option.ts";
import type { Host } from "../../lib/program.ts";
import { checkCookie } from "../list/cookie.ts";
import type { List } from "../list/list.ts";
import { listProgram } from "../list/list-program.ts";
import { readSender } from "../list/sender.ts";
import { versionRows } from "../list/version.ts";
import { firstBytes, readIncoming } from "../post/incoming.ts";
import { topType } from "../post/post-body.ts";
import type { SubscriberDb } from "../subscribers/subdb.ts";
import { BounceStore } from "./bounce-store.ts";
import { failedRecipients } from "./delivery-status.ts";
import { qsbmfRecipients } from "./qsbmf.ts";
import { parseReturnAddress, type ReturnAddress } from "./return-address.ts";

/** Seconds a warning or a probe may take to come back. */
const COOKIE_SECONDS = 3_000_000;
/** Bytes of a report that are searched for recipients. */
const REPORT_LIMIT = 16 * 1024 * 1024;
/** Bytes of the header of a report that each recipient it names gets to see. */
const REPORT_HEADER_LIMIT = 16 * 1024;

const options = new OptionTable(
  "ezmlm-return",
  [
    { letter: "d", help: "the digest list" },
    { letter: "D", help: "the main list", negates: "d" },
    ...versionRows,
  ],
  "DIR",
);

export const ezmlmReturn = listProgram(options, async (host, list, parsed) => {
  const message = await rereadable(host.stdin);
  return await new Bounce(
    deriveHost(host, { stdin: message }),
    list,
    parsed.flag("d") ?? false,
  ).run();
});

class Bounce {
  private readonly host: Host;
  private readonly list: List;
  private readonly workdir: string[];
  private readonly db: SubscriberDb;
  private readonly store: BounceStore;
  private readonly sender: string;

  constructor(host: Host, list: List, digest: boolean) {
    this.host = host;
    this.list = list;
    this.workdir = digest ? ["digest"] : [];
    this.db = list.db(digest ? "digest" : "");
    this.store = new BounceStore(list.path(...this.workdir, "bounce"));
    const sender = readSender(host);
    if (sender === undefined) throw new PermanentError("SENDER is not set. (#5.3.5)");
    this.sender = sender;
  }

  async run(): Promise<ExitCode> {
    const part = this.host.env.DEFAULT;
    if (part === undefined) throw new PermanentError("DEFAULT is not set. (#5.3.5)");
    const address = parseReturnAddress(part);
    switch (address.kind) {
      case "trash":
        return STOP;
      case "probe":
        await this.probe(address);
        return STOP;
      case "warn":
        await this.warning(address);
        return STOP;
      case "post":
        for (const recipient of address.recipients) {
          if (await this.lost(recipient, address.number, this.host.stdin)) break;
        }
        return STOP;
      case "report":
        await this.reported(address.number);
        return STOP;
      default:
        return address satisfies never;
    }
  }

  private locked<T>(work: () => Promise<T>): Promise<T> {
    return this.list.withLock([...this.workdir, "lockbounce"].join("/"), work);
  }

  /** A subscriber did not get a post. False when the address is none. */
  private async lost(recipient: string, number: number, bounce: MessageInput): Promise<boolean> {
    const address = await this.subscriber(recipient);
    if (address === undefined) return false;
    await this.locked(async () => {
      // The bounce before the number: a crash between the two must not leave numbers without a bounce.
      if (this.store.numbers(address) === undefined) await this.keep("first", address, bounce);
      this.store.addNumber(address, number);
    });
    return true;
  }

  /** The stored spelling; entries `@domain` get no posts. */
  private async subscriber(address: string): Promise<string | undefined> {
    const entry = await this.db.has(address);
    return entry?.startsWith("@") ? undefined : entry;
  }

  private keep(kind: "first" | "warning", address: string, input: MessageInput): Promise<void> {
    return this.store.keep({
      kind,
      address,
      sender: quoteAddress(this.sender),
      input,
      now: this.host.now(),
      pid: this.host.pid,
    });
  }

  private isGenuine(address: ReturnAddress & { kind: "warn" | "probe" }, action: string): boolean {
    const age = unixSeconds(this.host.now()) - Number(address.seconds);
    const subject = { action, date: address.seconds, address: address.recipient };
    return age >= 0 && age <= COOKIE_SECONDS && checkCookie(this.list, subject, address.cookie);
  }

  private async warning(address: ReturnAddress & { kind: "warn" | "probe" }): Promise<void> {
    if (!this.isGenuine(address, "W")) return;
    if ((await this.subscriber(address.recipient)) === undefined) return;
    await this.locked(() => this.keep("warning", address.recipient, this.host.stdin));
  }

  private async probe(address: ReturnAddress & { kind: "warn" | "probe" }): Promise<void> {
    if (!this.isGenuine(address, "P")) return;
    await this.db.remove(address.recipient, { event: "probe" });
  }

  /**
   * Whom the report names, each with a bounce of its own: the header of the report and what it says about
   * this one. Anybody can send a report that names thousands, so they are taken one by one and share one
   * header in memory, and none gets more of it on disk than real ones need.
   */
  private async reported(number: number): Promise<void> {
    const message = await readIncoming(this.host.stdin);
    try {
      const body = await firstBytes(message, REPORT_LIMIT);
      const header = Buffer.concat([shortHeader(message.fields), Buffer.from("\n")]);
      const failed = qsbmfRecipients(body) ?? failedRecipients(topType(message.fields), body);
      for (const { recipient, text } of failed) {
        await this.lost(recipient, number, inTurn(header, text));
      }
    } finally {
      await message.close();
    }
  }
}

/** The fields that fit, in their order. */
function shortHeader(fields: readonly HeaderField[]): Buffer {
  let room = REPORT_HEADER_LIMIT;
  return headerBytes(
    fields.filter(({ raw }) => {
      if (raw.length >= room) return false;
      room -= raw.length + 1;
      return true;
    }),
  );
}

function inTurn(header: Buffer, text: string): MessageInput {
  return {
    async *chunks() {
      yield header;
      yield Buffer.from(text);
    },
  };
}
