import { expect, test } from "vitest";
import {
  dateAndId,
  encodeText,
  type ReplyMail,
  sendReply,
} from "../../../src/ezmlm/reply/compose.ts";
import { mailto, type ReplyList, targetPart } from "../../../src/ezmlm/reply/reply-list.ts";
import { PermanentError, TemporaryError } from "../../../src/lib/errors.ts";
import { makeField } from "../../../src/lib/header.ts";
import { bufferInput } from "../../../src/lib/message-input.ts";
import { makeHost, RecorderQueue } from "../../support/ezmlm.ts";

const list: ReplyList = {
  dir: "/nowhere",
  dirArgument: "/nowhere",
  local: "joe-list",
  host: "lists.example.org",
  listId: undefined,
  charset: { name: "us-ascii", encoding: "" },
  has: () => false,
  line: () => undefined,
};

const mail: ReplyMail = {
  key: "k",
  sender: "joe-list-return-@lists.example.org",
  to: ["a@b.c"],
  header: [makeField("Message-ID", "<1@x>")],
  tail: [makeField("Subject", "s")],
  text: "text\n",
};

async function send(changes: Partial<ReplyMail>, on = list): Promise<string> {
  const { host, queue } = makeHost();
  await sendReply(host, on, { ...mail, ...changes });
  return queue.take().bytes.toString("latin1");
}

test("sendReply() copies header and so many body lines of a request, and no line into our header", async () => {
  const input = bufferInput("From: x\nSubject: a\n b\n\n1\n2\n3\n");
  const sent = await send({ request: { input, bodyLines: 2, returnPath: "e\nBcc: v@i.c" } });
  expect(sent).toBe(
    "Message-ID: <1@x>\nAuto-Submitted: auto-replied\nMIME-Version: 1.0\n" +
      "Content-Type: text/plain; charset=us-ascii\nSubject: s\n\ntext\n" +
      'Return-Path: <"e_Bcc: v"@i.c>\nFrom: x\nSubject: a\n b\n\n1\n2\n',
  );
});

test("sendReply() says 8bit when the copy has raw bytes", async () => {
  const input = bufferInput(Buffer.from("Subject: \xfc\n\n", "latin1"));
  expect(await send({ request: { input, bodyLines: 0 } })).toContain(
    "Content-Transfer-Encoding: 8bit\n",
  );
});

test("sendReply() encloses a message as a part, or its header only", async () => {
  const input = bufferInput("From: x\n\nbody\n");
  const whole = await send({ enclosed: { input, filename: 'a"\nb.eml' } });
  expect(whole).toContain('filename="a__b.eml"\n\nFrom: x\n\nbody\n\n--');
  const head = await send({ enclosed: { input, headerOnly: true } });
  expect(head).toContain("From: x\n\n");
  expect(head).not.toContain("body");
});

test("sendReply() keeps the list's Auto-Submitted, and queues nothing when the queue refuses", async () => {
  const fields = [makeField("Auto-Submitted", "auto-generated")];
  expect((await send({ header: fields })).match(/Auto-Submitted/g)).toHaveLength(1);
  const queue = new RecorderQueue();
  queue.refuse = new TemporaryError("qq write error or disk full (#4.3.0)");
  const { host } = makeHost({ queue });
  await expect(sendReply(host, list, mail)).rejects.toThrow(TemporaryError);
  expect(queue.mails).toEqual([]);
});

test("makeField() refuses what a stranger could use to add fields", () => {
  for (const value of ["a\nBcc: v@i.c", "a\rb", "a\0b"]) {
    expect(() => makeField("To", value)).toThrow(PermanentError);
  }
});

test("encodeText() labels ASCII with the list's charset and everything else as the UTF-8 it is", () => {
  expect(encodeText(list, "a", false).fields.map((f) => f.raw)).toEqual([
    "Content-Type: text/plain; charset=us-ascii",
  ]);
  expect(encodeText(list, "ü", false).fields.map((f) => f.raw)).toEqual([
    "Content-Type: text/plain; charset=utf-8",
    "Content-Transfer-Encoding: 8bit",
  ]);
});

test("dateAndId() never gives the same Message-ID twice", () => {
  const now = new Date();
  const { host } = makeHost({ now });
  const ids = Array.from({ length: 50 }, () => dateAndId(host, list)[1]?.raw);
  expect(new Set(ids).size).toBe(50);
});

test("mailto() and targetPart() keep an address in one piece", () => {
  expect(mailto("a b?<c>&d@e.f")).toBe("mailto:a%20b%3F%3Cc%3E%26d@e.f");
  expect(targetPart("a@b@c.d")).toBe("a@b=c.d");
});
