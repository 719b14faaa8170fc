/**
 * The mail that carries archived messages: a digest, or the answer to get, index and thread. Messages
 * go from their files into the queue piece by piece, byte for byte or with the header reduced; never
 * parsed and written back. Formats: m multipart/digest with few header fields, x the same as
 * multipart/mixed, v and n with whole headers, r plain text (RFC 1153). Reference ezmlm-formats.md 9.
 */
import { fieldKey, findField, type HeaderField, headerBytes, makeField } from "../../lib/header.ts";
import type { Submission } from "../../lib/queue-door.ts";
import type { List } from "../list/list.ts";
import { archivedInput, archivePath, isArchived } from "../post/archive-file.ts";
import { readIncoming } from "../post/incoming.ts";
import { boundaryFor, encodeText } from "../reply/compose.ts";
import type { ArchiveFormat } from "./get-request.ts";

export interface ArchiveMail {
  /** Fields before the MIME ones. */
  readonly header: readonly HeaderField[];
  readonly subject: HeaderField;
  /** What stands before the messages: topics, administrivia. */
  readonly preamble: string;
  /** Copy of the request after the preamble; bytes of a stranger. */
  readonly request?: Buffer;
  readonly numbers: readonly number[];
  readonly format: ArchiveFormat;
  /** Text in the place of a message that is not there. */
  readonly missing: string;
  /** Fields that stay in formats m and x, lower case. */
  readonly keep: ReadonlySet<string>;
}

const hyphens70 = "-".repeat(70);

/** Fields that stay unless `digheaders` says otherwise. */
export const digestFields =
  "from to subject reply-to date message-id cc mime-version content-type content-transfer-encoding";

/** Write the whole mail. */
export async function putArchiveMail(
  out: Submission,
  list: List,
  mail: ArchiveMail,
): Promise<void> {
  if (mail.format === "r") return putPlain(out, list, mail);
  const boundary = boundaryFor(mail.header);
  const kind = mail.format === "x" ? "mixed" : "digest";
  const mime = [
    makeField("MIME-Version", "1.0"),
    makeField("Content-Type", `multipart/${kind}; boundary=${boundary}`),
  ];
  const isEncoded = list.charset.encoding !== "";
  const rule = isEncoded ? "" : `\n${hyphens70}\n`;
  // Copied bytes of a request go into the text only where no encoding could break them.
  const copied = mail.request && !isEncoded ? mail.request : Buffer.alloc(0);
  const text = encodeText(list, mail.preamble, true);
  out.put(headerBytes([...mail.header, ...mime, mail.subject]));
  out.put(`\n--${boundary}\n`);
  out.put(headerBytes(text.fields));
  out.put("\n");
  out.put(text.bytes);
  out.put(copied);
  out.put(rule);
  if (mail.request && isEncoded) {
    out.put(`\n--${boundary}\nContent-Type: message/rfc822\n`);
    out.put("Content-Disposition: inline; filename=request.msg\n\n");
    out.put(mail.request);
  }
  for (const number of mail.numbers) await putPart(out, list, mail, boundary, number);
  out.put(`\n--${boundary}--\n`);
}

async function putPart(
  out: Submission,
  list: List,
  mail: ArchiveMail,
  boundary: string,
  number: number,
): Promise<void> {
  const path = archivePath(list, number);
  if (!isArchived(path)) {
    const text = encodeText(list, `${number}: ${mail.missing}`, true);
    out.put(`\n--${boundary}\n`);
    out.put(headerBytes(text.fields));
    out.put("\n");
    out.put(text.bytes);
    return;
  }
  const name = `${list.local.replace(/[^\w.@+-]/g, "_")}_${number}.eml`;
  out.put(`\n--${boundary}\nContent-Type: message/rfc822\n`);
  out.put(`Content-Disposition: inline; filename="${name}"\n\n`);
  const message = await readIncoming(archivedInput(path));
  try {
    const fields =
      mail.format === "m" || mail.format === "x"
        ? message.fields.filter((field) => mail.keep.has(fieldKey(field)))
        : message.fields;
    out.put(headerBytes(fields));
    out.put("\n");
    for await (const chunk of message.body()) {
      out.put(chunk);
      if (out.full) await out.drained();
    }
  } finally {
    await message.close();
  }
}

const plainFields = ["date", "to", "from", "cc", "subject", "message-id", "keywords"];

async function putPlain(out: Submission, list: List, mail: ArchiveMail): Promise<void> {
  const mime = [
    makeField("MIME-Version", "1.0"),
    makeField("Content-Type", `text/plain; charset=${list.charset.name}`),
    makeField("Content-Transfer-Encoding", "8bit"),
  ];
  out.put(headerBytes([...mail.header, ...mime, mail.subject]));
  out.put(`\n${mail.preamble}`);
  if (mail.request) out.put(mail.request);
  out.put(`\n${hyphens70}\n\n`);
  for (const [at, number] of mail.numbers.entries()) {
    // RFC 1153: thirty hyphens between messages, an empty line on either side.
    if (at > 0) out.put(`\n${"-".repeat(30)}\n\n`);
    await putPlainMessage(out, list, mail, number);
  }
  out.put(`\n${"-".repeat(30)}\n\nEnd of ${list.local} Digest\n${"*".repeat(35)}\n`);
}

async function putPlainMessage(
  out: Submission,
  list: List,
  mail: ArchiveMail,
  number: number,
): Promise<void> {
  const path = archivePath(list, number);
  if (!isArchived(path)) {
    out.put(`== ${number} ==\n\n${mail.missing}`);
    return;
  }
  const message = await readIncoming(archivedInput(path));
  try {
    const fields = plainFields.flatMap((name) => findField(message.fields, name) ?? []);
    out.put(headerBytes(fields));
    out.put("\n");
    await putSqueezed(out, message.body());
  } finally {
    await message.close();
  }
}

/** Lines with runs of empty ones made one, none at the beginning and the end. */
async function putSqueezed(out: Submission, body: AsyncIterable<Buffer>): Promise<void> {
  let rest = "";
  let isStart = true;
  let isGap = false;
  const line = (text: string): void => {
    if (/^[ \t\r]*$/.test(text)) {
      isGap = !isStart;
      return;
    }
    // A line of thirty hyphens inside a message would end it for a reader (RFC 1153).
    const safe = /^-{30}\r?$/.test(text) ? ` ${text}` : text;
    out.put(Buffer.from(`${isGap ? "\n" : ""}${safe}\n`, "latin1"));
    isGap = false;
    isStart = false;
  };
  for await (const chunk of body) {
    const lines = (rest + chunk.toString("latin1")).split("\n");
    rest = lines.pop() ?? "";
    for (const text of lines) line(text);
    if (out.full) await out.drained();
  }
  if (rest !== "") line(rest);
}
