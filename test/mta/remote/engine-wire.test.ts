/** What goes over the wire: pipelining, parameters, large bodies, TLS, AUTH. */
import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { createSecureContext } from "node:tls";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { recipientMark } from "../../../src/lib/header-prefix.ts";
import { collectBody } from "../../../src/mta/remote/wire-body.ts";
import { deliver, EngineKit, letters, many } from "../../support/remote-engine.ts";
import { usualExtensions } from "../../support/smtp-sink.ts";

let kit: EngineKit;

beforeEach(() => {
  kit = new EngineKit();
});

afterEach(() => kit.stop());

const verp = "l-@me.example-@[]";

describe("SmtpConnection", () => {
  it("sends a whole envelope in one write where PIPELINING is offered, else one command at a time", async () => {
    const pipelining = await kit.sink();
    await deliver(kit.start(pipelining.port), { sender: verp, to: many(5) });
    expect(pipelining.bursts[0]).toBe(3);
    const plain = await kit.sink({ extensions: ["8BITMIME"] });
    kit.controls = { ...kit.controls, routes: new Map([["", `127.0.0.1:${plain.port}`]]) };
    await deliver(kit.start(plain.port), { sender: verp, to: many(5) });
    expect(plain.bursts[0]).toBe(1);
  });

  it("sends BDAT transactions without waiting for replies", async () => {
    const sink = await kit.sink({ extensions: [...usualExtensions, "CHUNKING"] });
    await deliver(kit.start(sink.port), { sender: verp, to: many(12) });
    expect(sink.bursts[0]).toBeGreaterThan(12);
    expect(sink.commands[0]?.filter((c) => c.startsWith("DATA"))).toEqual([]);
  });

  it("puts up to 100 recipients of the same copy in one transaction", async () => {
    const sink = await kit.sink();
    const outcomes = await deliver(kit.start(sink.port), { to: many(250) });
    expect(letters(outcomes)).toBe("K".repeat(250));
    expect(sink.messages.map((m) => m.recipients.length)).toEqual([100, 100, 50]);
  });

  it("gives a server with less room for recipients the rest in another transaction", async () => {
    let taken = 0;
    const sink = await kit.sink({
      answer: (verb) => {
        if (verb === "MAIL") taken = 0;
        return verb === "RCPT" && ++taken > 3 ? "452 4.5.3 too many recipients" : undefined;
      },
    });
    const outcomes = await deliver(kit.start(sink.port), { to: many(8) });
    expect(letters(outcomes)).toBe("KKKKKKKK");
    expect(sink.messages.map((m) => m.recipients.length)).toEqual([3, 3, 2]);
  });

  it.each([
    ["DATA, pipelined", usualExtensions, "Subject: x\n\n.hello\n"],
    ["DATA, one by one", ["SIZE"], "Subject: x\n\n.hello\n"],
    ["BDAT", [...usualExtensions, "CHUNKING"], "Subject: x\n\n.hello\n"],
    ["DATA, a large body", usualExtensions, `Subject: x\n\n${"line\n".repeat(40_000)}`],
  ])("puts what is for one recipient in front of each copy: %s", async (_how, extensions, text) => {
    const sink = await kit.sink({ extensions });
    const body = await collectBody(
      (async function* () {
        yield Buffer.from(text);
      })(),
      kit.directory,
      65536,
    );
    const outcomes = await deliver(kit.start(sink.port), {
      to: ["ann@h", "550b@h", "eve\r\nX: y@h", "bob@h"],
      prefix: `X-For: ${recipientMark}\n`,
      body,
    });
    expect(letters(outcomes)).toBe("KDDK");
    expect(sink.messages.map((m) => [m.recipients, m.text])).toEqual([
      [["ann@h"], `X-For: ann=h\n${text}`],
      [["bob@h"], `X-For: bob=h\n${text}`],
    ]);
    for (const { parameters, wire } of sink.messages) {
      if (extensions.includes("CHUNKING")) continue; // without the doubled dot
      const size = Number(/SIZE=(\d+)/.exec(parameters)?.[1]);
      expect(Math.abs(size - wire.length)).toBeLessThanOrEqual(3);
    }
    expect(sink.violations).toEqual([]);
  });

  it("announces SIZE, BODY and SMTPUTF8 when they apply and are offered", async () => {
    const sink = await kit.sink();
    const engine = kit.start(sink.port);
    await deliver(engine, { to: ["a@h"], message: "x\n" });
    await deliver(engine, { to: ["a@h"], message: "é\n" });
    await deliver(engine, { to: ["jürg@h"], message: "x\n" });
    expect(sink.messages.map((m) => m.parameters)).toEqual([
      "SIZE=6",
      "SIZE=7 BODY=8BITMIME",
      "SIZE=6 SMTPUTF8",
    ]);
  });

  it("sends 8-bit text as it is, but no unicode address, to a server without extensions", async () => {
    const sink = await kit.sink({ extensions: ["PIPELINING"] });
    const engine = kit.start(sink.port);
    const outcomes = await deliver(engine, { to: ["a@h", "jürg@h"], message: "é\n" });
    expect(letters(outcomes)).toBe("KD");
    expect(sink.messages[0]).toMatchObject({ parameters: "", text: "\xc3\xa9\n" });
  });

  it("refuses an address that would break the command line and sends the others", async () => {
    const sink = await kit.sink();
    const outcomes = await deliver(kit.start(sink.port), { to: ["a\r\nDATA@h", "b@h"] });
    expect(letters(outcomes)).toBe("DK");
    expect(sink.commands[0]?.filter((c) => c.startsWith("RCPT"))).toEqual(["RCPT TO:<b@h>"]);
  });

  it("refuses it also when the server cannot be reached", async () => {
    const sink = await kit.sink();
    const engine = kit.start(sink.port);
    await sink.stop();
    for (const sender of ["a@me.example", verp]) {
      const outcomes = await deliver(engine, { sender, to: ["a@h", "b\0@h", "c@h"] });
      expect(letters(outcomes)).toBe("ZDZ");
    }
  });

  it("sends a lone dot when DATA is accepted without a valid recipient", async () => {
    const sink = await kit.sink({
      answer: (verb) => {
        if (verb === "DATA") return "354 go on then";
        return verb === "." ? "554 5.5.1 no valid recipients" : undefined;
      },
    });
    const outcomes = await deliver(kit.start(sink.port), {
      sender: verp,
      to: ["550a@h", "550b@h"],
    });
    expect(letters(outcomes)).toBe("DD");
    expect(sink.messages).toEqual([]);
    expect(sink.connections).toBe(1);
  });

  it.each([
    ["451 no", "Z"],
    ["554 no", "D"],
    ["250 what", "Z"],
  ])("reports DATA answered by %s as %s", async (reply, verdict) => {
    const sink = await kit.sink({ answer: (verb) => (verb === "DATA" ? reply : undefined) });
    const [outcome] = await deliver(kit.start(sink.port), { to: ["a@h"] });
    expect(outcome).toMatchObject({
      verdict,
      text: `127.0.0.1 failed on DATA command.\nRemote host said: ${reply}\n`,
    });
  });

  it.each([
    ["PIPELINING", usualExtensions],
    ["CHUNKING", [...usualExtensions, "CHUNKING"]],
  ])("streams a large body from a file between small ones, with %s", async (_name, extensions) => {
    const sink = await kit.sink({ extensions });
    const engine = kit.start(sink.port);
    const line = `${"x".repeat(70)}\n.\n`;
    const text = line.repeat(20000);
    async function* source(): AsyncIterable<Buffer> {
      for (let at = 0; at < text.length; at += 50001) yield Buffer.from(text.slice(at, at + 50001));
    }
    const body = await collectBody(source(), kit.directory, 65536);
    expect(body.data).toBeUndefined();
    const big = deliver(engine, { sender: verp, to: many(2), body });
    const small = deliver(engine, { sender: verp, to: many(2) });
    expect(letters(await big) + letters(await small)).toBe("KKKK");
    body.release();
    const received = sink.messages.filter((m) => m.text === text);
    expect(received).toHaveLength(2);
    expect(sink.violations).toEqual([]);
  });

  it.each([
    ["552 5.3.4 too big", "D"],
    ["250 2.0.0 thanks", "Z"],
  ])(
    "takes %s before the large body has left for %s and ends the connection",
    async (reply, verdict) => {
      const sink = await kit.sink({
        answer: (verb) => (verb === "DATA" ? `354 go\r\n${reply}` : undefined),
      });
      async function* source(): AsyncIterable<Buffer> {
        for (let n = 0; n < 400; n++) yield Buffer.from(`${"x".repeat(64)}\n`.repeat(1000));
      }
      const body = await collectBody(source(), kit.directory, 65536);
      const outcomes = await deliver(kit.start(sink.port), { to: ["a@h"], body });
      body.release();
      expect(outcomes[0]).toMatchObject({ verdict });
      expect(outcomes[0]?.text).toContain(`Remote host said: ${reply}`);
    },
  );
});

describe("STARTTLS", () => {
  const certificate = (): { key: Buffer; cert: Buffer } => {
    const [key, cert] = [join(kit.directory, "key.pem"), join(kit.directory, "cert.pem")];
    const subject = ["-subj", "/CN=somebody.else.example", "-days", "2"];
    const ec = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"];
    const files = ["-keyout", key, "-out", cert];
    execFileSync("openssl", ["req", "-x509", ...ec, ...subject, ...files], { stdio: "ignore" });
    return { key: readFileSync(key), cert: readFileSync(cert) };
  };

  it("is used where offered, whatever the certificate says", async () => {
    const sink = await kit.sink({
      extensions: [...usualExtensions, "STARTTLS"],
      tls: createSecureContext(certificate()),
    });
    const outcomes = await deliver(kit.start(sink.port), { sender: verp, to: many(5) });
    expect(letters(outcomes)).toBe("KKKKK");
    expect(sink.secured).toBe(1);
    expect(sink.connections).toBe(1);
  });

  it("stays open and pipelines; the next connection resumes the session", async () => {
    const sink = await kit.sink({
      extensions: [...usualExtensions, "STARTTLS"],
      tls: createSecureContext(certificate()),
      closeAfter: { messages: 40, quiet: true },
    });
    const engine = kit.start(sink.port);
    const large = `Subject: x\n\n${"line\n".repeat(10_000)}`;
    const first = await deliver(engine, { sender: verp, to: many(30), message: large });
    const second = await deliver(engine, { sender: verp, to: many(30) });
    expect(letters([...first, ...second])).toBe("K".repeat(60));
    expect([sink.connections, sink.secured, sink.resumed]).toEqual([2, 2, 1]);
    expect(sink.bursts[0]).toBe(3);
    expect(sink.messages[29]?.text).toBe(large);
  });

  it("is done anew, not left out, when the server fails at an earlier session", async () => {
    const sink = await kit.sink({
      extensions: [...usualExtensions, "STARTTLS"],
      tls: createSecureContext(certificate()),
      closeAfter: { messages: 1, quiet: true },
      breaksTls: 1,
    });
    const engine = kit.start(sink.port);
    for (const to of [["a@h"], ["b@h"]]) expect(letters(await deliver(engine, { to }))).toBe("K");
    expect([sink.connections, sink.secured, sink.resumed]).toEqual([3, 2, 0]);
  });

  it("is done without when the server has it not after all, or fails at it", async () => {
    const later = await kit.sink({ extensions: [...usualExtensions, "STARTTLS"] });
    expect(letters(await deliver(kit.start(later.port), { to: ["a@h"] }))).toBe("K");
    const broken = await kit.sink({
      extensions: [...usualExtensions, "STARTTLS"],
      tls: createSecureContext({}),
    });
    kit.controls = { ...kit.controls, routes: undefined };
    expect(letters(await deliver(kit.start(broken.port), { to: ["a@h"] }))).toBe("K");
    expect(broken.connections).toBe(2);
    expect(broken.secured).toBe(0);
  });

  it("refuses a server whose reply to STARTTLS carries more", async () => {
    const sink = await kit.sink({
      extensions: [...usualExtensions, "STARTTLS"],
      tls: createSecureContext(certificate()),
      injected: "250 injected\r\n",
    });
    const outcomes = await deliver(kit.start(sink.port), { to: ["a@h"] });
    expect(letters(outcomes)).toBe("Z");
    expect(sink.messages).toEqual([]);
  });
});

describe("AUTH", () => {
  const routeWith = (port: number): Map<string, string> =>
    new Map([["", `127.0.0.1:${port}|joe|secret`]]);
  const auth = (argument: string): string | undefined => {
    if (argument === "CRAM-MD5") return `334 ${Buffer.from("<1@sink>").toString("base64")}`;
    if (argument === "LOGIN") return "334 VXNlcm5hbWU6";
    const ok = argument === `PLAIN ${Buffer.from("\0joe\0secret").toString("base64")}`;
    return ok ? "235 2.7.0 welcome" : "535 5.7.8 no";
  };

  it.each([["CRAM-MD5 PLAIN"], ["PLAIN"], ["LOGIN"]])("logs in with %s", async (mechanisms) => {
    const seen: string[] = [];
    const sink = await kit.sink({
      extensions: [...usualExtensions, `AUTH ${mechanisms}`],
      answer: (verb, argument) => {
        if (verb === "AUTH") return auth(argument);
        if (/^(EHLO|MAIL|RCPT|DATA|QUIT|\.)$/.test(verb)) return undefined;
        const answer = Buffer.from(verb, "base64").toString();
        seen.push(answer);
        return answer === "joe" ? "334 UGFzc3dvcmQ6" : "235 2.7.0 welcome";
      },
    });
    const engine = kit.start(sink.port, { controls: { routes: routeWith(sink.port) } });
    expect(letters(await deliver(engine, { to: ["a@h"] }))).toBe("K");
    if (mechanisms === "LOGIN") expect(seen.at(-1)).toBe("secret");
    if (mechanisms.startsWith("CRAM")) expect(seen[0]).toMatch(/^joe [0-9a-f]{32}$/);
  });

  it("sends nothing without it when the route asks for it", async () => {
    const sink = await kit.sink();
    const engine = kit.start(sink.port, { controls: { routes: routeWith(sink.port) } });
    expect(letters(await deliver(engine, { to: ["a@h"] }))).toBe("Z");
    expect(sink.messages).toEqual([]);
  });
});
