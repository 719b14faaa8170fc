import { expect, test } from "vitest";
import { bounceBreak, bounceOpening, bouncePlan, paragraph } from "../../../src/mta/send/bounce.ts";

const controls = {
  bouncefrom: "MAILER-DAEMON",
  bouncehost: "mx.test",
  doublebounceto: "postmaster",
  doublebouncehost: "mx.test",
  bouncemaxbytes: 0,
};

test("bouncePlan() tells the sender, then postmaster, then nobody", () => {
  expect(bouncePlan("joe@x.test", controls)).toMatchObject({
    kind: "single",
    sender: "",
    recipient: "joe@x.test",
  });
  expect(bouncePlan("list-@x.test-@[]", controls)).toMatchObject({ recipient: "list-@x.test" });
  expect(bouncePlan("", controls)).toMatchObject({
    kind: "double",
    sender: "#@[]",
    recipient: "postmaster@mx.test",
  });
  expect(bouncePlan("#@[]", controls).kind).toBe("discard triple");
  expect(bouncePlan("", { ...controls, doublebounceto: "" }).kind).toBe("discard double");
});

test("paragraph() holds no empty line and ends with one", () => {
  expect(paragraph("a@b", "a\n\nb\n\n\nc")).toBe("<a@b>:\na\n/b\n//c\n\n");
  expect(paragraph("a\nb@c", "")).toBe("<a_b@c>:\n/\n");
});

test("bounceOpening() and bounceBreak() are QSBMF", () => {
  const head = {
    kind: "single",
    recipient: "joe x@x.test",
    id: 7,
    now: new Date("2026-11-21T01:34:54Z"),
    failedSender: "joe x@x.test",
  } as const;
  expect(bounceOpening(head, controls)).toBe(`Date: 21 Nov 2026 01:34:54 -0000
From: MAILER-DAEMON@mx.test
To: "joe x"@x.test
Subject: failure notice
Message-ID: <20261121013454.7.qmail@mx.test>
Auto-Submitted: auto-replied

Hi. This is the qmail-send program at mx.test.
I'm afraid I wasn't able to deliver your message to the following addresses.
This is a permanent error; I've given up. Sorry it didn't work out.

`);
  expect(bounceBreak(head)).toBe(`--- Below this line is a copy of the message.

Return-Path: <"joe x"@x.test>
`);
  expect(bounceBreak({ ...head, kind: "double" })).toMatch(/^--- .* the original bounce\.\n/);
});

test("bounceOpening() lets no line break of an address into the header", () => {
  const head = {
    kind: "single",
    recipient: "a\nBcc: x@y",
    id: 1,
    now: new Date(0),
    failedSender: "",
  } as const;
  expect(bounceOpening(head, controls)).not.toMatch(/\nBcc/);
});
