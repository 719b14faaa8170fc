/**
 * Answers to get, index and thread: to SENDER, or to the address recorded for a moderator. One mail
 * per run, so they share one key. Reference ezmlm-formats.md 9.
 */
import { quoteAddress } from "../../lib/address.ts";
import { PermanentError } from "../../lib/errors.ts";
import { fieldKey, makeField } from "../../lib/header.ts";
import { bufferInput } from "../../lib/message-input.ts";
import { encodeWords } from "../../lib/mime-word.ts";
import type { Host } from "../../lib/program.ts";
import { handIn } from "../../lib/queue-door.ts";
import type { List } from "../list/list.ts";
import { readDigestState, readNumber } from "../list/number.ts";
import { dateAndId, mailingListFields, returnAddress } from "../reply/compose.ts";
import { copyHead, type MessageHead } from "../reply/message-head.ts";
import { commandAddress } from "../reply/reply-list.ts";
import { catalogue, renderText } from "../reply/texts.ts";
import { putArchiveMail } from "./archive-mail.ts";
import { numbersOf } from "./digest.ts";
import {
  type ArchiveFormat,
  type GetRequest,
  getRange,
  indexRange,
  type Range,
  threadRange,
} from "./get-request.ts";
import { readIndexBlock, readIndexRange, shortDate } from "./index-file.ts";
import { keptFields } from "./kept-fields.ts";
import { renderPreamble } from "./preamble.ts";
import { type Topic, topicsOf } from "./topics.ts";

export interface ArchiveQuestion {
  readonly request: GetRequest;
  /** The command as it was written, for the subject. */
  readonly command: string;
  readonly format: ArchiveFormat;
  readonly sender: string;
  readonly to: string;
  readonly head: MessageHead;
  readonly bottom: boolean;
}

interface Found {
  readonly topics: readonly Topic[] | undefined;
  readonly range?: Range;
  readonly numbers: readonly number[];
  /** Text instead of messages. */
  readonly insert: string;
}

/** Find it, write it, queue it; answers with the queue's name for it. */
export async function answerFromArchive(
  host: Host,
  list: List,
  question: ArchiveQuestion,
): Promise<string> {
  const max = readNumber(list).number;
  if (max === 0) throw new PermanentError(catalogue(host, list, "ERR_EMPTY_LIST"));
  const found = find(host, list, question, max);
  const command = question.command.replace(/[^\x21-\x7e]/g, "?").slice(0, 100);
  const key = question.request.word === "index" ? "SUB_RESULT_OF" : "SUB_DIGEST_OF";
  const subject = catalogue(host, list, key, command);
  const tags = { number: max, A: question.sender };
  const bottom = question.bottom ? renderText(host, list, "bottom", tags) : "";
  const preamble = renderPreamble(host, list, {
    subject,
    topics: found.topics,
    ...(found.range ? { range: found.range } : {}),
    administrivia: found.insert === "" ? bottom : "",
  });
  const receipt = await handIn(host.queue, { key: "answer" }, async (out) => {
    await putArchiveMail(out, list, {
      header: header(host, list, question),
      subject: makeField("Subject", encodeWords(subject)),
      preamble: found.insert === "" ? preamble : `${preamble}${found.insert}${bottom}`,
      ...(question.bottom ? { request: await copyOf(list, question) } : {}),
      numbers: found.numbers,
      format: question.request.word === "index" ? "m" : question.format,
      missing: renderText(host, list, "get-bad", tags),
      keep: keptFields(list),
    });
    out.from(returnAddress(list));
    out.to(question.to);
  });
  return receipt.id;
}

function find(host: Host, list: List, question: ArchiveQuestion, max: number): Found {
  const { request, format } = question;
  switch (request.word) {
    case "get": {
      const range = getRange(request, max, readDigestState(list).number);
      const topics = topicsOf(readIndexRange(list, range.from, range.to), range);
      if (format === "n") {
        return { topics: undefined, numbers: numbersOf(range), insert: "" };
      }
      return { topics, range, numbers: topics.flatMap((topic) => topic.numbers), insert: "" };
    }
    case "index":
      return {
        topics: undefined,
        numbers: [],
        insert: indexText(host, list, indexRange(request, max)),
      };
    case "thread":
      return findThread(host, list, request.first, max);
  }
}

function findThread(host: Host, list: List, number: number | undefined, max: number): Found {
  if (number === undefined || number < 1 || number > max) {
    const insert = renderText(host, list, "get-bad", { number: max });
    return { topics: undefined, numbers: [], insert };
  }
  const range = threadRange(number, max);
  const topics = topicsOf(readIndexRange(list, range.from, range.to), range);
  const topic = topics.find((each) => each.numbers.includes(number));
  if (topic?.subject === undefined) {
    throw new PermanentError(catalogue(host, list, "ERR_BAD_INDEX"));
  }
  return { topics: [topic], numbers: topic.numbers, insert: "" };
}

function indexText(host: Host, list: List, range: Range): string {
  const lines: string[] = [];
  for (let block = Math.floor(range.from / 100); block <= Math.floor(range.to / 100); block++) {
    const entries = readIndexBlock(list, block);
    if (!entries) {
      const ends = [String(Math.max(1, block * 100)), String(block * 100 + 99)];
      lines.push(`${catalogue(host, list, "TXT_NOINDEX", ...ends)}\n`);
    }
    for (const entry of entries ?? []) {
      lines.push(`${entry.number}: ${entry.subject}\n`);
      lines.push(`\t${`${shortDate(entry.date)} ${entry.author}`.trim()}\n`);
    }
  }
  return lines.join("");
}

function header(host: Host, list: List, question: ArchiveQuestion) {
  const trace = question.head.fields.filter((field) =>
    ["delivered-to", "received"].includes(fieldKey(field)),
  );
  return [
    makeField("To", quoteAddress(question.to)),
    ...mailingListFields(host, list),
    ...dateAndId(host, list),
    makeField("From", quoteAddress(commandAddress(list, "help"))),
    makeField("Delivered-To", `responder for ${list.address}`),
    ...trace,
    makeField("Auto-Submitted", "auto-replied"),
  ];
}

function copyOf(list: List, question: ArchiveQuestion): Promise<Buffer> {
  const { head, sender } = question;
  return copyHead({
    input: bufferInput(Buffer.concat([head.headerBytes, Buffer.from("\n"), head.body])),
    bodyLines: list.numberLine("copylines") ?? 0,
    returnPath: sender,
  });
}
