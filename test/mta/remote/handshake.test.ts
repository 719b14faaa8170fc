/** What a relay gets to know before TLS stands. */
import { expect, test } from "vitest";
import { ExtensionCache, Handshake } from "../../../src/mta/remote/handshake.ts";

function greeted(ip: string, useTls = true): Handshake {
  const credentials = { user: "joe", password: "secret" };
  const handshake = new Handshake({
    ip,
    heloHost: "h",
    useTls,
    credentials,
    extensions: new ExtensionCache(),
  });
  handshake.reply(220, "220 hello");
  return handshake;
}

const offer = (...lines: string[]): string => ["relay", ...lines].map((l) => `250 ${l}`).join("\n");

test.each([
  ["no STARTTLS is offered", ["AUTH PLAIN"], true],
  ["only LOGIN is offered", ["AUTH LOGIN"], true],
  ["TLS failed before", ["STARTTLS", "AUTH PLAIN LOGIN"], false],
])("Handshake sends no password in clear text: %s", (_, lines, useTls) => {
  const step = greeted("192.0.2.1", useTls).reply(250, offer(...lines));
  expect(step).toMatchObject({ type: "failed", outcome: { verdict: "Z" } });
});

test("Handshake sends no password in clear text when STARTTLS is refused", () => {
  const handshake = greeted("192.0.2.1");
  expect(handshake.reply(250, offer("STARTTLS", "AUTH PLAIN"))).toMatchObject({
    text: "STARTTLS\r\n",
  });
  expect(handshake.reply(454, "454 not now").type).toBe("failed");
});

test("Handshake logs in after TLS, with CRAM-MD5, or on this machine", () => {
  const secured = greeted("192.0.2.1");
  secured.reply(250, offer("STARTTLS"));
  secured.reply(220, "220 go");
  secured.secured();
  expect(secured.reply(250, offer("AUTH PLAIN"))).toMatchObject({ type: "send" });
  expect(greeted("192.0.2.1").reply(250, offer("AUTH CRAM-MD5"))).toMatchObject({ type: "send" });
  expect(greeted("127.0.0.1").reply(250, offer("AUTH PLAIN"))).toMatchObject({ type: "send" });
});
