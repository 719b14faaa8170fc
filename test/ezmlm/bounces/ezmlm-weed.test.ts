import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { bounceBreak, bounceOpening, paragraph } from "../../../src/mta/send/bounce.ts";
import { runInProcess, ways } from "../../support/ezmlm.ts";

async function weed(message: string | Buffer): Promise<number> {
  return (await runInProcess("ezmlm-weed", { stdin: message })).code;
}

/** As Postfix writes them: every one says that no human sent it. */
function report(action: string, header = "Auto-Submitted: auto-replied\n"): string {
  return `From: MAILER-DAEMON@mx.example (Mail Delivery System)
Subject: Undelivered Mail Returned to Sender
To: joe-list-return-1-ann=example.net@lists.example.org
${header}MIME-Version: 1.0
Content-Type: multipart/report; report-type=delivery-status;
	boundary="8F1A2.1700000000/mx.example"

This is a MIME-encapsulated message.

--8F1A2.1700000000/mx.example
Content-Description: Notification
Content-Type: text/plain; charset=us-ascii

Action: failed is what this human text talks about.

--8F1A2.1700000000/mx.example
Content-Description: Delivery report
Content-Type: message/delivery-status

Reporting-MTA: dns; mx.example
X-Postfix-Queue-ID: 8F1A2
Arrival-Date: Tue, 14 Nov 2023 22:13:20 +0000 (UTC)

Final-Recipient: rfc822; ann@example.net
Original-Recipient: rfc822;ann@example.net
Action: ${action}
Status: 5.1.1
Diagnostic-Code: smtp; 550 no such user

--8F1A2.1700000000/mx.example--
`;
}

function qmailBounce(): string {
  const controls = {
    bouncefrom: "MAILER-DAEMON",
    bouncehost: "mx.example",
    doublebounceto: "postmaster",
    doublebouncehost: "mx.example",
    bouncemaxbytes: 0,
  };
  const head = {
    kind: "single",
    recipient: "joe-list-return-1-@lists.example.org",
    id: 7,
    now: new Date("2026-11-21T08:00:00Z"),
    failedSender: "joe-list-return-1-@lists.example.org",
  } as const;
  const text = "Sorry, no mailbox here by that name. (#5.1.1)\n";
  return bounceOpening(head, controls) + paragraph("ann@example.net", text) + bounceBreak(head);
}

describe("ezmlm-weed, bounces that must be counted pass", () => {
  test.each([
    ["Postfix, which says auto-replied", report("failed")],
    ["field names and values in capitals", report("FAILED").toUpperCase()],
    ["line ends of Windows", report("failed").replaceAll("\n", "\r\n")],
    [
      "a report that does not say of which type",
      report("failed").replace("report-type=delivery-status;\n\t", ""),
    ],
    [
      "no blank line before the status",
      report("failed").replace("status\n\nReporting", "status\nReporting"),
    ],
    ["what our own qmail-send writes", qmailBounce()],
    [
      "Exim, with the recipients in the header",
      "X-Failed-Recipients: a@b\nAuto-Submitted: auto-replied\n\nfailed\n",
    ],
    [
      "sendmail without MIME",
      "From: Mail Delivery Subsystem <MAILER-DAEMON@x>\nSubject: Returned mail: see transcript\n\nUser unknown\n",
    ],
    [
      "one of two recipients failed",
      report("delayed").replace(
        "\n\n--8F1A2.1700000000/mx.example--",
        "\n\nFinal-Recipient: rfc822; bob@example.net\nAction: failed\nStatus: 5.1.1\n\n--8F1A2.1700000000/mx.example--",
      ),
    ],
    ["the last part is torn off", report("failed").replace(/Diagnostic.*/s, "")],
  ])("%s", async (_what, message) => {
    expect(await weed(message)).toBe(0);
  });

  test("a status part in base64", async () => {
    const [before = "", after = ""] = report("failed").split("message/delivery-status\n\n");
    const at = after.indexOf("\n--8F1A2");
    const encoded = Buffer.from(after.slice(0, at)).toString("base64");
    const message = `${before}message/delivery-status\nContent-Transfer-Encoding: base64\n\n${encoded}${after.slice(at)}`;
    expect(await weed(message)).toBe(0);
    expect(
      await weed(message.replace(encoded, Buffer.from("Action: delayed\n").toString("base64"))),
    ).toBe(99);
  });
});

describe("ezmlm-weed, what needs no answer is dropped", () => {
  test.each([
    ["a delay", report("delayed")],
    ["a delay that does not say who sent it", report("delayed", "")],
    ["a success", report("delivered", "")],
    ["a relayed mail", report("relayed", "")],
    [
      "a report without status, by a robot",
      report("failed").replace("message/delivery-status", "text/plain"),
    ],
  ])("%s", async (_what, message) => {
    expect(await weed(message)).toBe(99);
  });

  test.each([
    "Auto-Submitted: auto-generated",
    "auto-submitted: Auto-Replied; x=y",
    "Precedence: bulk",
    "PRECEDENCE: Junk",
    "Precedence: list",
    "Mailing-List: contact x@y; run by ezmlm",
    "List-ID: <x.y>",
    "X-Mailing-List: x",
    "X-ML-Name: x",
    "List-Help: <mailto:x@y>",
    "List-Unsubscribe: <mailto:x@y>",
    "List-Subscribe: <mailto:x@y>",
    "List-Post: NO",
    "List-Owner: <mailto:x@y>",
    "List-Archive: <http://x>",
    "Subject: success notice",
    "Subject: deferral notice",
    "Subject: Message status - delivered",
    "Subject: Message status - opened",
    "Subject: Out of Office AutoReply: hello",
    "Subject: AutoResponse - hello",
    "X-Amazon-Auto-Reply: true",
    "X-Mailer: KANA Response 7",
    "Thread-Topic: AutoResponse",
    "Content-Type: multipart/report; report-type=disposition-notification; boundary=x",
  ])("%s", async (field) => {
    expect(await weed(`From: x@y.z\n${field}\nTo: a@b\n\nhello\n`)).toBe(99);
  });

  test("the four hour warning of sendmail", async () => {
    const message =
      "From: Mail Delivery Subsystem <MAILER-DAEMON@x.example>\n" +
      "Subject: Warning: could not send message for past 4 hours\n\n" +
      "    **********************************************\n" +
      "    **      THIS IS A WARNING MESSAGE ONLY      **\n";
    expect(await weed(message)).toBe(99);
    expect(await weed(message.replace("Subsystem", "System"))).toBe(0);
  });

  test("a vacation answer that quotes a bounce of qmail is a vacation answer", async () => {
    const quoted = qmailBounce().replace("Subject: failure notice", "Subject: x\nPrecedence: bulk");
    expect(await weed(quoted)).toBe(99);
  });
});

describe("ezmlm-weed, everything else passes", () => {
  test.each([
    ["a request of a human", "From: x@y.z\nSubject: subscribe\n\n"],
    ["Auto-Submitted: no", "Auto-Submitted: no\n\n"],
    ["a precedence of a human", "Precedence: normal\n\n"],
    ["a subject that only mentions it", "Subject: Re: Out of Office AutoReply: x\n\n"],
    ["the words in the body", "Subject: x\n\nPrecedence: bulk\n"],
    ["nothing at all", ""],
    ["a header that ends early", "Subject: x"],
    [
      "a report with a boundary nobody uses",
      "Content-Type: multipart/report; boundary=x\n\nhello\n",
    ],
  ])("%s", async (_what, message) => {
    expect(await weed(message)).toBe(0);
  });

  test("whatever bytes come, the answer is 0 or 99", async () => {
    const piece = fc.oneof(
      fc.string(),
      fc.constantFrom(
        "\n",
        "\r\n",
        "Content-Type: multipart/report; boundary=b",
        "\n--b\nContent-Type: message/delivery-status\n\n",
        "Action: failed\n",
        "Final-Recipient: rfc822; <",
        "\0",
        "Hi. This is the",
      ),
    );
    await fc.assert(
      fc.asyncProperty(fc.array(piece, { maxLength: 12 }), async (pieces) => {
        expect([0, 99]).toContain(await weed(pieces.join("")));
      }),
      { numRuns: 200 },
    );
  });
});

test.each(ways)("ezmlm-weed agrees %s", async (_way, run) => {
  expect((await run("ezmlm-weed", { stdin: report("failed") })).code).toBe(0);
  expect((await run("ezmlm-weed", { stdin: report("delayed") })).code).toBe(99);
  const wrong = await run("ezmlm-weed", { args: ["x"] });
  expect([wrong.code, wrong.stderr]).toEqual([100, "ezmlm-weed: usage: ezmlm-weed\n"]);
});
