/**
 * NAME         ezmlm-reject - refuse unsuitable posts
 * SYNOPSIS     ezmlm-reject [-bBcCfFhHqQsStTvV] [DIR]
 * DESCRIPTION  Reads a message and refuses it when it does not belong on a list. Stands first in
 *              DIR/editor. Refused are, in this order: a message with a field named in
 *              DIR/headerreject; bulk and junk mail (dropped silently); a message that does not name
 *              the list in To or Cc; one without a Subject; a Subject that is a command (help,
 *              remove, subscribe, unsubscribe); a message of a type in DIR/mimeremove or
 *              DIR/mimereject, or of none in DIR/mimekeep; one with a part of a type in
 *              DIR/mimereject, at any depth; one longer or shorter than DIR/msgsize (`max:min` bytes
 *              of body, headers of parts not counted). Without DIR only Subject and precedence count.
 * OPTIONS      -t  the list must be in To or Cc (default, with DIR). -T  need not.
 *              -q  if it is not, drop the message silently. -Q  bounce it (default).
 *              -s  require a Subject (default). -S  do not.
 *              -c  refuse commands in the Subject (default). -C  do not.
 *              -f  send the header of such mail to LIST-request instead, exit 99. -F  do not (default).
 *              -b  refuse a Subject or first line of text that begins with subscribe or unsubscribe,
 *                  too. -B  do not (default).
 *              -h  look at DIR/headerreject (default). -H  do not.
 *              -v, -V  print the version.
 * ENVIRONMENT  SENDER (required).
 * FILES        DIR/headerreject mimekeep mimeremove mimereject msgsize
 * EXIT CODES   0 fine. 99 dropped or forwarded. 100 refused. 111 temporary.
 * SEE ALSO     ezmlm-checksub, ezmlm-store, ezmlm-request
 */
import { asciiLower, quoteAddress } from "../../lib/address.ts";
import { PermanentError } from "../../lib/errors.ts";
import { type ExitCode, STOP, SUCCESS } from "../../lib/exit-code.ts";
import {
  fieldBytes,
  fieldKey,
  findField,
  type HeaderField,
  headerBytes,
} from "../../lib/header.ts";
import { OptionTable, type ParsedOptions } from "../../lib/option.ts";
import type { Host, Program } from "../../lib/program.ts";
import { handIn } from "../../lib/queue-door.ts";
import { type List, openList } from "../list/list.ts";
import { readSender } from "../list/sender.ts";
import { printVersion, versionRows, wantsVersion } from "../list/version.ts";
import type { ReplyList } from "../reply/reply-list.ts";
import { catalogue } from "../reply/texts.ts";
import { type IncomingMessage, readIncoming } from "./incoming.ts";
import { fieldNames, ownDeliveredTo } from "./outgoing-header.ts";
import { rejectedContent } from "./rejected-content.ts";

const options = new OptionTable(
  "ezmlm-reject",
  [
    { letter: "b", help: "refuse text that begins with a command" },
    { letter: "B", help: "do not", negates: "b" },
    { letter: "c", help: "refuse commands in the Subject (default)" },
    { letter: "C", help: "do not", negates: "c" },
    { letter: "f", help: "forward commands to LIST-request" },
    { letter: "F", help: "do not (default)", negates: "f" },
    { letter: "h", help: "look at headerreject (default)" },
    { letter: "H", help: "do not", negates: "h" },
    { letter: "q", help: "drop silently what does not name the list" },
    { letter: "Q", help: "bounce it (default)", negates: "q" },
    { letter: "s", help: "require a Subject (default)" },
    { letter: "S", help: "do not", negates: "s" },
    { letter: "t", help: "the list must be in To or Cc (default)" },
    { letter: "T", help: "need not", negates: "t" },
    ...versionRows,
  ],
  "[DIR]",
);

export const ezmlmReject: Program = {
  name: "ezmlm-reject",
  usage: options.usage,
  runAs: (host) => options.parse(host.args).rest[0],
  async run(host: Host): Promise<ExitCode> {
    const parsed = options.parse(host.args);
    if (wantsVersion(parsed)) return printVersion(host);
    const [dir, ...more] = parsed.rest;
    if (more.length > 0) throw options.error();
    const list = dir === undefined ? undefined : await openList(host, dir);
    const message = await readIncoming(host.stdin);
    try {
      return await new Check(host, list, parsed, message).run();
    } finally {
      await message.close();
      list?.close();
    }
  },
};

const commands = new Set(["help", "remove", "subscribe", "unsubscribe"]);
const placeholders = new Set(["", "(null)", "(none)", "(no subject)"]);

class Check {
  private readonly host: Host;
  private readonly list: List | undefined;
  private readonly parsed: ParsedOptions;
  private readonly message: IncomingMessage;
  private readonly fields: readonly HeaderField[];

  constructor(host: Host, list: List | undefined, parsed: ParsedOptions, message: IncomingMessage) {
    this.host = host;
    this.list = list;
    this.parsed = parsed;
    this.message = message;
    this.fields = message.fields;
  }

  async run(): Promise<ExitCode> {
    const sender = readSender(this.host);
    if (sender === undefined) throw new PermanentError("SENDER is not set. (#5.3.5)");
    if (sender === "") throw this.refusal("ERR_BOUNCE");
    if (this.parsed.flag("h") !== false) this.checkHeaderReject();
    if (this.isJunk()) return this.drop("ERR_JUNK");
    if (this.list && this.parsed.flag("t") !== false && !this.namesList(this.list)) {
      if (this.parsed.flag("q")) return this.drop("ERR_NO_ADDRESS");
      throw this.refusal("ERR_NO_ADDRESS");
    }
    if (this.isCommand()) {
      if (!this.parsed.flag("f") || !this.list) throw this.refusal("ERR_SUBCOMMAND");
      await this.forward(this.list);
      return STOP;
    }
    const why = await rejectedContent(this.list, this.message, this.parsed.flag("b") ?? false);
    if (why) throw this.refusal(why.key, ...why.params);
    return SUCCESS;
  }

  private refusal(key: string, ...params: string[]): PermanentError {
    return new PermanentError(catalogue(this.host, this.speaker(), key, ...params));
  }

  private drop(key: string): ExitCode {
    const text = catalogue(this.host, this.speaker(), key);
    this.host.stderr.write(`ezmlm-reject: info: ${text}\n`);
    return STOP;
  }

  /** In whose name a refusal speaks: without DIR the address the message came to. */
  private speaker(): ReplyList {
    if (this.list) return this.list;
    const { env, cwd } = this.host;
    return {
      dir: cwd,
      dirArgument: "",
      local: env.LOCAL ?? "LIST",
      host: env.HOST ?? "HOST",
      listId: undefined,
      charset: { name: "utf-8", encoding: "" },
      has: () => false,
      line: () => undefined,
    };
  }

  private checkHeaderReject(): void {
    const names = fieldNames(this.list?.lines("headerreject") ?? []);
    if (this.fields.some((field) => names.has(fieldKey(field)))) throw this.refusal("ERR_REJECT");
  }

  private isJunk(): boolean {
    return this.fields.some(
      (field) =>
        fieldKey(field) === "precedence" && /(?:junk|bulk)$/i.test(fieldBytes(field).slice(0, 200)),
    );
  }

  /** Local parts may have something in front (a virtual domain), hosts something behind. */
  private namesList(list: List): boolean {
    const wanted = [list.address, quoteAddress(list.address)].map((address) =>
      asciiLower(Buffer.from(address).toString("latin1")),
    );
    return this.fields.some((field) => {
      const key = fieldKey(field);
      if (key !== "to" && key !== "cc") return false;
      const value = asciiLower(fieldBytes(field));
      return wanted.some((address) => value.includes(address));
    });
  }

  private isCommand(): boolean {
    const field = findField(this.fields, "Subject");
    const subject = asciiLower(field ? fieldBytes(field).slice(0, 1000) : "");
    if (this.parsed.flag("s") !== false && placeholders.has(subject)) {
      throw this.refusal("ERR_NO_SUBJECT");
    }
    if (this.parsed.flag("c") !== false && commands.has(subject)) return true;
    return (this.parsed.flag("b") ?? false) && /^(?:un)?subscribe/.test(subject);
  }

  private async forward(list: List): Promise<void> {
    const mark = ownDeliveredTo("command forwarder for", list.address);
    if (this.fields.some((field) => field.raw === mark.raw)) throw this.refusal("ERR_LOOPING");
    const receipt = await handIn(this.host.queue, { key: "request" }, (out) => {
      out.put(headerBytes([mark, ...this.fields]));
      out.put("\n");
      out.from(this.host.env.SENDER ?? "");
      out.to(`${list.local}-request@${list.host}`);
    });
    this.host.stderr.write(`ezmlm-reject: info: qp ${receipt.id}\n`);
  }
}
