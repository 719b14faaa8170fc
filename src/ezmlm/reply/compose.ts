/**
 * Every mail a list writes itself: header by code, body from texts, then the queue. Field values go
 * through makeField(), so no text and no stranger breaks a line into a header. Header order is that of
 * ezmlm; `Auto-Submitted` keeps robots from answering (RFC 3834 5). A mail is queued when sendReply()
 * resolves. Reference ezmlm-texts.md 4.
 */
import { createHash, randomInt } from "node:crypto";
import { date822, unixSeconds } from "../../lib/date822.ts";
import {
  fieldKey,
  fieldText,
  findField,
  type HeaderField,
  headerBytes,
  makeField,
} from "../../lib/header.ts";
import type { MessageInput } from "../../lib/message-input.ts";
import { encodeWords } from "../../lib/mime-word.ts";
import type { Host } from "../../lib/program.ts";
import { handIn, type QueueReceipt, type Submission, type Urgency } from "../../lib/queue-door.ts";
import { encodeBase64Text, encodeQuotedPrintable } from "../../lib/transfer-encoding.ts";
import { copyHead } from "./message-head.ts";
import { commandAddress, localFor, mailto, type ReplyList } from "./reply-list.ts";
import { catalogueFor } from "./texts.ts";

/** A message shown after the text: its header and some lines of its body. */
export interface RequestCopy {
  readonly input: MessageInput;
  readonly bodyLines: number;
  /** Adds `Return-Path: <…>` in front. */
  readonly returnPath?: string;
}

/** A whole message that goes along. */
export interface Enclosure {
  readonly input: MessageInput;
  readonly filename?: string;
  /** Leave its body out. */
  readonly headerOnly?: boolean;
}

export interface ReplyMail {
  /** Names this mail within one run of the program (see SubmissionOptions.key). */
  readonly key: string;
  /** Envelope sender; may be a VERP one. */
  readonly sender: string;
  readonly to: AsyncIterable<readonly string[]> | readonly string[];
  /** Fields before the MIME ones, in order. */
  readonly header: readonly HeaderField[];
  /** Fields after the MIME ones, in order; often just the Subject. */
  readonly tail?: readonly HeaderField[];
  readonly text: string;
  readonly request?: RequestCopy;
  readonly enclosed?: Enclosure;
  /** A part of its own for what is enclosed or copied; default: for enclosures, and when the charset asks. */
  readonly multipart?: boolean;
  /** Default `reply`: somebody waits for it. */
  readonly urgency?: Urgency;
}

/** Write the mail into the queue. Durable when it resolves; rejects with the queue's verdict. */
export async function sendReply(
  host: Pick<Host, "queue">,
  list: ReplyList,
  mail: ReplyMail,
): Promise<QueueReceipt> {
  const { key, urgency = "reply" } = mail;
  return await handIn(host.queue, { key, urgency }, async (out) => {
    await writeMessage(out, list, mail);
    out.from(mail.sender);
    if (Symbol.asyncIterator in mail.to) {
      for await (const batch of mail.to) {
        for (const recipient of batch) out.to(recipient);
        if (out.full) await out.drained();
      }
    } else {
      for (const recipient of mail.to) out.to(recipient);
    }
  });
}

async function writeMessage(out: Submission, list: ReplyList, mail: ReplyMail): Promise<void> {
  const isMultipart =
    mail.multipart ?? (mail.enclosed !== undefined || list.charset.encoding !== "");
  const copy = mail.request ? await copyHead(mail.request) : undefined;
  const boundary = boundaryFor(mail.header);
  const text = encodeText(list, mail.text, isMultipart);
  // A copied header may hold raw bytes even where our own text is ASCII.
  const is8bit = text.fields.length === 1 && copy !== undefined && copy.some((byte) => byte > 127);
  const mime = isMultipart
    ? [
        makeField("MIME-Version", "1.0"),
        makeField("Content-Type", `multipart/mixed; boundary=${boundary}`),
      ]
    : [
        makeField("MIME-Version", "1.0"),
        ...text.fields,
        ...(is8bit ? [makeField("Content-Transfer-Encoding", "8bit")] : []),
      ];
  out.put(headerBytes([...withAutoSubmitted(mail.header), ...mime, ...(mail.tail ?? [])]));
  out.put("\n");
  if (isMultipart) {
    out.put(`--${boundary}\n`);
    out.put(headerBytes(text.fields));
    out.put("\n");
  }
  out.put(text.bytes);
  const inline = "Content-Type: message/rfc822\nContent-Disposition: inline";
  if (copy) {
    if (isMultipart) out.put(`\n--${boundary}\n${inline}; filename=request.msg\n\n`);
    out.put(copy);
  }
  if (mail.enclosed) {
    const { filename } = mail.enclosed;
    const named =
      filename === undefined ? "" : `; filename="${filename.replace(/[^\w.@+-]/g, "_")}"`;
    if (isMultipart) out.put(`\n--${boundary}\n${inline}${named}\n\n`);
    await putMessage(out, mail.enclosed);
  }
  if (isMultipart) out.put(`\n--${boundary}--\n`);
}

/** The bytes of a message into a submission, without holding them all. */
export async function putMessage(out: Submission, enclosed: Enclosure): Promise<void> {
  if (enclosed.headerOnly) {
    out.put(await copyHead({ input: enclosed.input, bodyLines: 0 }));
    return;
  }
  for await (const chunk of enclosed.input.chunks()) {
    out.put(chunk);
    if (out.full) await out.drained();
  }
}

export interface EncodedText {
  /** Content-Type, and Content-Transfer-Encoding where it is not 7bit. */
  readonly fields: readonly HeaderField[];
  readonly bytes: Buffer;
}

/**
 * Text of ours as a MIME entity. Plain ASCII carries the list's charset name; anything else is sent
 * as the UTF-8 it is. The transfer encoding the list asks for is used in parts only.
 */
export function encodeText(list: ReplyList, text: string, isPart: boolean): EncodedText {
  const isAscii = /^[\0-\x7f]*$/.test(text);
  const charset = isAscii ? list.charset.name : "utf-8";
  const type = makeField("Content-Type", `text/plain; charset=${charset}`);
  const bytes = Buffer.from(text);
  const encoding = isPart ? list.charset.encoding : "";
  const encodingField = (value: string): HeaderField =>
    makeField("Content-Transfer-Encoding", value);
  if (encoding === "Q") {
    return {
      fields: [type, encodingField("Quoted-Printable")],
      bytes: Buffer.from(encodeQuotedPrintable(bytes)),
    };
  }
  if (encoding === "B") {
    return { fields: [type, encodingField("base64")], bytes: Buffer.from(encodeBase64Text(bytes)) };
  }
  return { fields: isAscii ? [type] : [type, encodingField("8bit")], bytes };
}

/** A boundary that follows from the Message-ID: 20 letters no text of ours contains. */
export function boundaryFor(header: readonly HeaderField[]): string {
  const id = findField(header, "Message-ID");
  const digest = createHash("sha256").update(id ? fieldText(id) : String(randomInt(2 ** 47)));
  return Array.from(digest.digest().subarray(0, 20), (byte) =>
    String.fromCharCode(97 + (byte & 15)),
  ).join("");
}

function withAutoSubmitted(header: readonly HeaderField[]): readonly HeaderField[] {
  return header.some((field) => fieldKey(field) === "auto-submitted")
    ? header
    : [...header, makeField("Auto-Submitted", "auto-replied")];
}

/** `Mailing-List`, and `List-ID` where the list has one. */
export function mailingListFields(
  host: Pick<Host, "env" | "root">,
  list: ReplyList,
  db = "",
): HeaderField[] {
  const fields = [makeField("Mailing-List", catalogueFor(host, list, { db }, "TXT_MAILING_LIST"))];
  if (list.listId) fields.push(makeField("List-ID", list.listId));
  return fields;
}

/** `Date` and a `Message-ID` that no other mail of this list has. */
export function dateAndId(host: Pick<Host, "now" | "pid">, list: ReplyList): HeaderField[] {
  const now = host.now();
  const unique = `${unixSeconds(now)}.${host.pid}.${randomInt(2 ** 47).toString(36)}`;
  return [
    makeField("Date", date822(now)),
    makeField("Message-ID", `<${unique}.ezmlm@${list.host}>`),
  ];
}

/** `List-Help`, `List-Post`, `List-Subscribe`; posting always goes to the list itself. */
export function commandFields(list: ReplyList, db = ""): HeaderField[] {
  const link = (address: string): string => `<${mailto(address)}>`;
  return [
    makeField("List-Help", link(commandAddress(list, "help", db))),
    makeField("List-Post", link(`${list.local}@${list.host}`)),
    makeField("List-Subscribe", link(commandAddress(list, "subscribe", db))),
  ];
}

/** Where bounces of administrative mail go: to nobody. */
export function returnAddress(list: ReplyList, db = ""): string {
  return `${localFor(list, db)}-return-@${list.host}`;
}

/** A Subject from the catalogue, encoded where it is not ASCII. */
export function subjectField(
  host: Pick<Host, "env" | "root">,
  list: ReplyList,
  db: string,
  key: string,
  ...params: string[]
): HeaderField {
  return makeField("Subject", encodeWords(catalogueFor(host, list, { db }, key, ...params)));
}
