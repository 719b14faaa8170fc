/** Which server is tried when, what a dead one costs, and that no site waits for another. */
import { createServer, type Server } from "node:net";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import type { DnsResolver } from "../../../src/lib/dns.ts";
import { MOST_RESTING } from "../../../src/mta/remote/connection-resources.ts";
import { hostTexts } from "../../../src/mta/remote/mx.ts";
import type { Outcome } from "../../../src/mta/remote/transaction.ts";
import { deliver, EngineKit, letters, many } from "../../support/remote-engine.ts";
import { SmtpSink } from "../../support/smtp-sink.ts";

let kit: EngineKit;
let extra: SmtpSink[];

beforeEach(() => {
  kit = new EngineKit();
  extra = [];
});

afterEach(async () => {
  vi.restoreAllMocks();
  for (const sink of extra) await sink.stop();
  await kit.stop();
});

const noConnection = { verdict: "Z", text: hostTexts.connect };

/** A port nobody listens on. */
async function deadPort(): Promise<number> {
  const server = await new Promise<Server>((resolve) => {
    const made = createServer().listen(0, "127.0.0.1", () => resolve(made));
  });
  const address = server.address();
  await new Promise((resolve) => server.close(resolve));
  if (!address || typeof address === "string") throw new Error("no port");
  return address.port;
}

/** relay.test has the loopback addresses given. */
const relay = (...addresses: string[]): DnsResolver => ({
  mx: async () => ({ kind: "none" }),
  addresses: async () => ({ kind: "found", records: addresses }),
});

describe("Pool", () => {
  it.each([
    ["cannot be connected", undefined],
    ["says 4xx in its greeting", "421 4.3.2 busy"],
    ["closes before its greeting", "close"],
  ])("tries the next address when one %s", async (_what, greeting) => {
    const good = await SmtpSink.start({ host: "127.0.0.3" });
    extra.push(good);
    if (greeting) {
      extra.push(await SmtpSink.start({ host: "127.0.0.2", port: good.port, greeting }));
    }
    const engine = kit.start(0, {
      controls: { routes: new Map([["", `relay.test:${good.port}`]]) },
      resolver: relay("127.0.0.2", "127.0.0.3"),
    });
    const [outcome] = await deliver(engine, { to: ["a@h"] });
    expect(outcome?.text).toContain("127.0.0.3 accepted message.");
    await deliver(engine, { to: ["b@h"] });
    expect(good.connections).toBe(1);
  });

  it("reports a greeting of 5xx and a refused name", async () => {
    const sink = await kit.sink({ greeting: "554 5.7.1 go away" });
    const [greeted] = await deliver(kit.start(sink.port), { to: ["a@h"] });
    expect(greeted).toEqual({
      verdict: "Z",
      text: "Connected to 127.0.0.1 but greeting failed.\nRemote host said: 554 5.7.1 go away\n",
    });
    const strict = await kit.sink({
      answer: (v) => (/^(EH|HE)LO/.test(v) ? "550 who?" : undefined),
    });
    kit.controls = { ...kit.controls, routes: undefined };
    const [named] = await deliver(kit.start(strict.port), { to: ["a@h"] });
    expect(named).toEqual({
      verdict: "Z",
      text: "Connected to 127.0.0.1 but my name was rejected.\nRemote host said: 550 who?\n",
    });
  });

  it("answers for a dead site at once after the first failure", async () => {
    const port = await deadPort();
    const engine = kit.start(port);
    expect(await deliver(engine, { to: ["a@h"] })).toEqual([noConnection]);
    const revived = await SmtpSink.start({ port });
    extra.push(revived);
    expect(await deliver(engine, { to: many(3) })).toEqual(Array(3).fill(noConnection));
    expect(revived.connections).toBe(0);
  });

  it("shares one connection attempt among all slots of a silent site, and puts the rest off", async () => {
    const silent = await kit.sink({ greeting: "silent" });
    const good = await kit.sink();
    const engine = kit.start(0, {
      limits: { patienceSeconds: 0.05 },
      controls: {
        routes: new Map([
          ["silent.example", `127.0.0.1:${silent.port}`],
          ["", `127.0.0.1:${good.port}`],
        ]),
      },
    });
    const slots = Array.from({ length: 20 }, () =>
      deliver(engine, { host: "silent.example", to: many(5) }),
    );
    const first = slots.shift();
    // The other site is served while the silent one holds its first slot.
    expect(letters(await deliver(engine, { to: many(5) }))).toBe("KKKKK");
    for (const outcomes of await Promise.all(slots)) {
      expect(outcomes).toEqual(Array(5).fill(noConnection));
    }
    expect(silent.connections).toBe(1);
    silent.hangUp();
    expect(letters((await first) ?? [])).toBe("ZZZZZ");
  });

  it("opens more connections for more slots once a site has answered, and reuses them", async () => {
    const sink = await kit.sink();
    const engine = kit.start(sink.port, { limits: { mostConnections: 3 } });
    const round = (): Promise<string[]> =>
      Promise.all(
        Array.from({ length: 10 }, async () =>
          letters(await deliver(engine, { sender: "l-@me-@[]", to: many(50) })),
        ),
      );
    expect(await round()).toEqual(Array(10).fill("K".repeat(50)));
    expect(sink.connections).toBeLessThanOrEqual(3);
    const before = sink.connections;
    expect(await round()).toEqual(Array(10).fill("K".repeat(50)));
    expect(sink.connections).toBeLessThanOrEqual(Math.max(before, 3));
    expect(sink.messages).toHaveLength(1000);
  });

  it("takes a fresh connection when an idle one was closed meanwhile", async () => {
    const sink = await kit.sink();
    const engine = kit.start(sink.port);
    expect(letters(await deliver(engine, { to: ["a@h"] }))).toBe("K");
    sink.hangUp();
    await sink.until((s) => s.open === 0);
    expect(letters(await deliver(engine, { to: ["b@h"] }))).toBe("K");
    expect(sink.messages).toHaveLength(2);
  });

  it("closes a connection after its number of messages and when idle", async () => {
    const sink = await kit.sink();
    const engine = kit.start(sink.port, { limits: { mostMessages: 4, idleSeconds: 0.05 } });
    expect(letters(await deliver(engine, { sender: "l-@me-@[]", to: many(10) }))).toBe(
      "K".repeat(10),
    );
    expect(sink.connections).toBe(3);
    await sink.until((s) => s.open === 0);
    expect(sink.commands.map((c) => c.at(-1))).toEqual(["QUIT", "QUIT", "QUIT"]);
  });

  it.each([true, false])(
    "says QUIT behind the last message a server takes, once it is known (quiet: %s)",
    async (quiet) => {
      const sink = await kit.sink({ closeAfter: { messages: 2, quiet } });
      const engine = kit.start(sink.port);
      expect(letters(await deliver(engine, { sender: "l-@me-@[]", to: many(12) }))).toBe(
        "K".repeat(12),
      );
      await sink.until((s) => s.open === 0);
      expect(sink.connections).toBe(6);
      const known = sink.commands.slice(3);
      expect(known.map((c) => c.filter((line) => line.startsWith("MAIL")).length)).toEqual([
        2, 2, 2,
      ]);
      // A server that closes without a word reads no more either.
      if (!quiet) expect(known.map((c) => c.at(-1))).toEqual(["QUIT", "QUIT", "QUIT"]);
    },
  );

  it("puts off only the message a server with a known limit drops with QUIT behind it", async () => {
    const ends: number[] = [];
    const sink = await kit.sink({
      closeAfter: { messages: 2, quiet: false },
      answer: (verb, _, connection) => {
        if (verb !== "." || connection !== 3) return undefined;
        ends.push(connection);
        return ends.length === 2 ? "close" : undefined;
      },
    });
    const engine = kit.start(sink.port);
    const outcomes = await deliver(engine, { sender: "l-@me-@[]", to: many(12) });
    expect(letters(outcomes).replaceAll("K", "")).toBe("Z");
    expect(outcomes.find(({ verdict }) => verdict === "Z")?.text).toContain("Possible duplicate!");
    const taken = sink.messages.flatMap(({ recipients }) => recipients);
    expect([taken.length, new Set(taken).size]).toEqual([11, 11]);
  });

  it("keeps what it sends one message at a time on one connection, though the server closes when idle", async () => {
    const sink = await kit.sink();
    const engine = kit.start(sink.port);
    for (let n = 0; n < 4; n++) {
      expect(letters(await deliver(engine, { to: ["a@h"] }))).toBe("K");
      sink.hangUp();
      await sink.until((s) => s.open === 0);
    }
    const before = sink.connections;
    expect(letters(await deliver(engine, { sender: "l-@me-@[]", to: many(9) }))).toBe("KKKKKKKKK");
    expect(sink.connections).toBe(before + 1);
  });

  it("keeps a bounded number of connections without work, the last used ones", async () => {
    const sinks = await Promise.all(Array.from({ length: MOST_RESTING + 20 }, () => kit.sink()));
    const routes = new Map(sinks.map(({ port }) => [`s${port}.test`, `relay.test:${port}`]));
    const engine = kit.start(0, {
      controls: { routes },
      resolver: relay("127.0.0.1"),
      limits: { idleSeconds: 1000 },
    });
    const send = async (sink: SmtpSink): Promise<string> =>
      letters(await deliver(engine, { host: `s${sink.port}.test`, to: ["a@h"] }));
    for (const sink of sinks) expect(await send(sink)).toBe("K");
    const [first, last] = [sinks[0] as SmtpSink, sinks.at(-1) as SmtpSink];
    await first.until((s) => s.open === 0);
    expect(await send(last)).toBe("K");
    expect(last.connections).toBe(1);
    expect(await send(first)).toBe("K");
    expect(first.connections).toBe(2);
  });

  it("gives up on a recipient that ends every connection, and serves the others", async () => {
    const sink = await kit.sink();
    const outcomes = await deliver(kit.start(sink.port), {
      sender: "l-@me-@[]",
      to: ["a@h", "drop-rcpt@h", "b@h"],
    });
    expect(letters(outcomes)).toBe("KZK");
    expect(outcomes[1]?.text).toBe("Connected to 127.0.0.1 but connection died. (#4.4.2)\n");
    expect(sink.connections).toBeLessThan(7);
  });

  it("gives up on a site that takes connections and no mail, after a few", async () => {
    const sink = await kit.sink({ answer: (verb) => (verb === "MAIL" ? "close" : undefined) });
    const outcomes = await deliver(kit.start(sink.port), { sender: "l-@me-@[]", to: many(100) });
    expect(letters(outcomes)).toBe("Z".repeat(100));
    expect(sink.connections).toBeLessThan(10);
  });

  it("treats a silent server as lost after timeoutremote", async () => {
    const sink = await kit.sink({ greeting: "silent" });
    const outcomes = await deliver(kit.start(sink.port, { controls: { replySeconds: 0.1 } }), {
      to: ["a@h"],
    });
    expect(outcomes[0]?.text).toBe("Connected to 127.0.0.1 but connection died. (#4.4.2)\n");
  });

  it("skips an address that timed out twice and says so in the table", async () => {
    const sink = await kit.sink();
    const now = Math.floor(Date.now() / 1000);
    kit.timeouts.table.timedOut("127.0.0.1", now - 300);
    kit.timeouts.table.timedOut("127.0.0.1", now - 100);
    const engine = kit.start(sink.port, { limits: { badSeconds: 0 } });
    expect(await deliver(engine, { to: ["a@h"] })).toEqual([noConnection]);
    expect(sink.connections).toBe(0);
    kit.timeouts.table.load([{ address: "127.0.0.1", timeouts: 1, at: now }]);
    expect(letters(await deliver(engine, { to: ["a@h"] }))).toBe("K");
    expect(kit.timeouts.table.list()).toEqual([]);
  });

  it("waits for nobody when a server refuses another connection while one stands", async () => {
    const sink = await kit.sink({
      answer: (verb, _argument, connection) =>
        verb === "EHLO" && connection > 0 ? "421 4.7.0 too many connections" : undefined,
    });
    const engine = kit.start(sink.port);
    const slots = await Promise.all(
      Array.from({ length: 5 }, () => deliver(engine, { sender: "l-@me-@[]", to: many(20) })),
    );
    for (const outcomes of slots) expect(letters(outcomes)).toBe("K".repeat(20));
  });
});

describe("Engine", () => {
  it("tries a failed site again in time, and asks DNS, after the clock was set back", async () => {
    const sink = await kit.sink();
    let asked = 0;
    let day = Date.now();
    const dead = `127.0.0.1:${await deadPort()}`;
    const engine = kit.start(sink.port, {
      controls: {
        routes: new Map([
          ["dead.test", dead],
          ["unknown.test", "relay.test"],
        ]),
      },
      resolver: {
        mx: async () => ({ kind: "none" }),
        addresses: async () => {
          asked++;
          return { kind: "soft" };
        },
      },
      now: () => day,
    });
    const send = (host: string): Promise<Outcome[]> => deliver(engine, { host, to: ["a@h"] });
    expect(letters([...(await send("dead.test")), ...(await send("unknown.test"))])).toBe("ZZ");
    // The same site, up again, at the time it may be tried.
    day -= 3_600_000;
    const revived = await SmtpSink.start({ port: Number(dead.split(":")[1]) });
    extra.push(revived);
    const { now } = performance;
    vi.spyOn(performance, "now").mockImplementation(() => now.call(performance) + 21_000);
    expect(letters(await send("dead.test"))).toBe("K");
    await send("unknown.test");
    expect(asked).toBe(2);
  });

  it("uses new controls for the next delivery", async () => {
    const [one, two] = [await kit.sink(), await kit.sink()];
    const engine = kit.start(one.port);
    await deliver(engine, { to: ["a@h"] });
    kit.controls = { ...kit.controls, routes: new Map([["", `127.0.0.1:${two.port}`]]) };
    await deliver(engine, { to: ["b@h"] });
    expect([one.messages.length, two.messages.length]).toEqual([1, 1]);
    await one.until((s) => s.open === 0);
  });

  it("gives every waiting recipient an answer when it is closed", async () => {
    const silent = await kit.sink({ greeting: "silent" });
    const engine = kit.start(silent.port);
    const slots = [deliver(engine, { to: many(3) }), deliver(engine, { to: many(3) })];
    await silent.until((s) => s.connections === 1);
    engine.close();
    expect((await Promise.all(slots)).map(letters)).toEqual(["ZZZ", "ZZZ"]);
    expect(letters(await deliver(engine, { to: ["a@h"] }))).toBe("Z");
  });

  it("reports what DNS says", async () => {
    const engine = kit.start(0, {
      controls: { routes: undefined },
      resolver: {
        mx: async () => ({ kind: "found", records: [{ preference: 0, exchange: "" }] }),
        addresses: async () => ({ kind: "soft" }),
      },
    });
    expect(await deliver(engine, { to: ["a@h"] })).toEqual([
      { verdict: "D", text: hostTexts.nullMx },
    ]);
  });
});
