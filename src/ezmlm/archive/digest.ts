/**
 * One digest: every message since the last one, to the database `digest` by VERP. Under the list's lock:
 * queue first, then `digissue` and `dignum`. A crash in between repeats the digest, unless the same
 * delivery is run again: then its key (first and last message) finds it queued. None is ever skipped.
 * Reference ezmlm-formats.md 9.4.
 */
import { date822, unixSeconds } from "../../lib/date822.ts";
import { PermanentError } from "../../lib/errors.ts";
import { makeField } from "../../lib/header.ts";
import { encodeWords } from "../../lib/mime-word.ts";
import type { Host } from "../../lib/program.ts";
import { handIn } from "../../lib/queue-door.ts";
import type { List } from "../list/list.ts";
import {
  readDigestIssue,
  readDigestState,
  readNumber,
  writeDigestIssue,
  writeDigestState,
} from "../list/number.ts";
import { isLinkField, linkPrefix } from "../post/unsubscribe-link.ts";
import { dateAndId, mailingListFields } from "../reply/compose.ts";
import { commandAddress } from "../reply/reply-list.ts";
import { catalogue, catalogueFor, renderText } from "../reply/texts.ts";
import { addSubscribers } from "../subscribers/subdb.ts";
import { putArchiveMail } from "./archive-mail.ts";
import type { ArchiveFormat } from "./get-request.ts";
import { readIndexRange } from "./index-file.ts";
import { keptFields } from "./kept-fields.ts";
import { renderPreamble } from "./preamble.ts";
import { topicsOf } from "./topics.ts";

/** Send the digest that is due. Returns the queue's name for it, undefined when there is nothing new. */
export async function sendDigest(
  host: Host,
  list: List,
  format: ArchiveFormat,
): Promise<string | undefined> {
  return list.withLock("lock", async () => {
    const last = readNumber(list);
    if (last.number === 0) throw new PermanentError(catalogue(host, list, "ERR_EMPTY_LIST"));
    const before = readDigestState(list);
    const range = { from: before.number + 1, to: last.number };
    if (range.from > range.to) return undefined;
    const now = host.now();
    const issue = readDigestIssue(list) + 1;
    // A message without recipients is nothing to hand in; the count goes on all the same.
    const hasReaders = (await list.db("digest").count()) > 0;
    const receipt = hasReaders ? await queueDigest(host, list, format, range, issue) : "none";
    writeDigestIssue(list, issue);
    writeDigestState(list, { ...last, when: unixSeconds(now) });
    return receipt;
  });
}

async function queueDigest(
  host: Host,
  list: List,
  format: ArchiveFormat,
  range: { from: number; to: number },
  issue: number,
): Promise<string> {
  const subject = catalogueFor(
    host,
    list,
    { db: "digest" },
    "SUB_DIGEST_ISSUE",
    date822(host.now()),
    String(issue),
  );
  const topics = topicsOf(readIndexRange(list, range.from, range.to), range);
  const tags = { db: "digest", number: range.from };
  const prefix = linkPrefix(host, list, "digest");
  const added = addedFields(list, range.from).filter(
    (field) => prefix === undefined || !isLinkField(field),
  );
  const options = {
    key: `digest.${range.from}.${range.to}`,
    urgency: "bulk" as const,
    ...(prefix === undefined ? {} : { prefix }),
  };
  const receipt = await handIn(host.queue, options, async (out) => {
    await putArchiveMail(out, list, {
      header: [...added, ...ownFields(host, list)],
      subject: makeField("Subject", encodeWords(subject)),
      preamble: renderPreamble(host, list, {
        subject,
        topics: format === "n" ? undefined : topics,
        range,
        administrivia: renderText(host, list, "digest", tags),
      }),
      numbers: format === "n" ? numbersOf(range) : topics.flatMap((topic) => topic.numbers),
      format,
      missing: renderText(host, list, "get-bad", tags),
      keep: keptFields(list),
    });
    out.from(`${list.local}-digest-return-${range.from}-@${list.host}-@[]`);
    await addSubscribers(out, list.db("digest").packed());
  });
  return receipt.id;
}

/** Lines of `headeradd`, with the addresses of the digest. */
function addedFields(list: List, number: number) {
  return (list.lines("headeradd", { db: "digest", number }) ?? []).flatMap((line) => {
    const colon = line.indexOf(":");
    return colon > 0
      ? [makeField(line.slice(0, colon).trimEnd(), line.slice(colon + 1).trim())]
      : [];
  });
}

function ownFields(host: Host, list: List) {
  return [
    ...mailingListFields(host, list, "digest"),
    ...dateAndId(host, list),
    makeField("From", commandAddress(list, "help", "digest")),
    makeField("Delivered-To", `responder for ${list.local}-digest@${list.host}`),
    makeField("To", list.address),
    makeField("Auto-Submitted", "auto-generated"),
  ];
}

export function numbersOf(range: { from: number; to: number }): number[] {
  return Array.from({ length: range.to - range.from + 1 }, (_none, at) => range.from + at);
}
