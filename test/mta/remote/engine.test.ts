import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { deliver, EngineKit, letters, many } from "../../support/remote-engine.ts";
import { type SinkOptions, usualExtensions } from "../../support/smtp-sink.ts";

let kit: EngineKit;

beforeEach(() => {
  kit = new EngineKit();
});

afterEach(() => kit.stop());

const kinds: [string, SinkOptions][] = [
  ["HELO only", { extensions: undefined }],
  ["EHLO without PIPELINING", { extensions: ["8BITMIME"] }],
  ["PIPELINING", {}],
  ["CHUNKING", { extensions: [...usualExtensions, "CHUNKING"] }],
];

describe.each(kinds)("Engine with %s", (_name, options) => {
  for (const pacing of [undefined, "bytes", "held"] as const) {
    it(`delivers VERP copies in order on one connection, replies ${pacing ?? "as they come"}`, async () => {
      const sink = await kit.sink({ ...options, ...(pacing ? { pacing } : {}) });
      const outcomes = await deliver(kit.start(sink.port), {
        sender: "list-return-7-@me.example-@[]",
        to: many(20),
        message: "Subject: x\n\n.dot\nlast\n",
      });
      expect(letters(outcomes)).toBe("K".repeat(20));
      expect(outcomes[3]?.text).toBe(
        "127.0.0.1 accepted message.\nRemote host said: 250 2.0.0 ok 4\n",
      );
      expect(sink.connections).toBe(1);
      expect(sink.messages.map((m) => m.sender)).toEqual(
        many(20).map((r) => `list-return-7-${r.replace("@", "=")}@me.example`),
      );
      for (const message of sink.messages) {
        expect(message.text).toBe("Subject: x\n\n.dot\nlast\n");
      }
      expect(sink.violations).toEqual([]);
    });
  }

  it("gives each recipient its own verdict", async () => {
    const sink = await kit.sink(options);
    const outcomes = await deliver(kit.start(sink.port), {
      to: ["good@h", "550x@h", "450x@h", "fine@h"],
    });
    expect(letters(outcomes)).toBe("KDZK");
    expect(outcomes[1]).toMatchObject({
      text: "127.0.0.1 does not like recipient.\nRemote host said: 550 as you wished\n",
      refusedBy: "127.0.0.1",
    });
    expect(sink.messages).toHaveLength(1);
    expect(sink.messages[0]?.recipients).toEqual(["good@h", "fine@h"]);
  });

  it("goes on after transactions without a valid recipient", async () => {
    const sink = await kit.sink(options);
    const outcomes = await deliver(kit.start(sink.port), {
      sender: "l-@me.example-@[]",
      to: ["550a@h", "550b@h", "good@h", "450c@h", "good2@h"],
    });
    expect(letters(outcomes)).toBe("DDKZK");
    expect(sink.messages.map((m) => m.recipients[0])).toEqual(["good@h", "good2@h"]);
    expect(sink.messages.map((m) => m.sender)).toEqual([
      "l-good=h@me.example",
      "l-good2=h@me.example",
    ]);
    expect(sink.connections).toBe(1);
  });

  it("reports a refused message and goes on", async () => {
    const sink = await kit.sink(options);
    const outcomes = await deliver(kit.start(sink.port), {
      sender: "l-@me.example-@[]",
      to: ["final-554@h", "good@h", "final-451@h", "good2@h"],
    });
    expect(letters(outcomes)).toBe("DKZK");
    expect(outcomes[0]?.text).toBe(
      "127.0.0.1 failed after I sent the message.\nRemote host said: 554 as you wished\n",
    );
  });

  it("reports a refused sender for every recipient", async () => {
    const sink = await kit.sink({
      ...options,
      answer: (verb) => (verb === "MAIL" ? "550-no\r\n550 never" : undefined),
    });
    const outcomes = await deliver(kit.start(sink.port), { to: many(3) });
    expect(letters(outcomes)).toBe("DDD");
    expect(outcomes[0]?.text).toBe(
      "Connected to 127.0.0.1 but sender was rejected.\nRemote host said: 550-no\n550 never\n",
    );
    expect(sink.messages).toEqual([]);
  });

  it("takes up after a server that closes after some messages, each exactly once", async () => {
    const sink = await kit.sink({ ...options, closeAfter: { messages: 3, quiet: false } });
    const outcomes = await deliver(kit.start(sink.port), {
      sender: "l-@me.example-@[]",
      to: many(10),
    });
    expect(letters(outcomes)).toBe("K".repeat(10));
    expect(sink.messages.map((m) => m.recipients[0])).toEqual(many(10));
    expect(sink.connections).toBe(4);
  });

  it("marks a lost connection after the final dot as a possible duplicate", async () => {
    const sink = await kit.sink(options);
    const outcomes = await deliver(kit.start(sink.port), {
      to: ["drop-final@h"],
    });
    expect(outcomes[0]).toMatchObject({
      verdict: "Z",
      text: "Connected to 127.0.0.1 but connection died. Possible duplicate! (#4.4.2)\n",
    });
  });

  it("treats what is no SMTP reply as temporary", async () => {
    const sink = await kit.sink({
      ...options,
      answer: (verb) => (verb === "RCPT" ? "hello there" : undefined),
    });
    const outcomes = await deliver(kit.start(sink.port), {
      to: ["x@h"],
    });
    expect(letters(outcomes)).toBe("Z");
  });
});
