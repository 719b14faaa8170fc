import { describe, expect, it } from "vitest";
import type { DnsAnswer, DnsResolver, MxRecord } from "../../../src/lib/dns.ts";
import { mergeAnswers } from "../../../src/lib/dns.ts";
import {
  type Destination,
  findDestination,
  hostTexts,
  type NoDestination,
  ownAddressTest,
  targetsOf,
} from "../../../src/mta/remote/mx.ts";
import { addressLiteral, findRoute, parseRoute } from "../../../src/mta/remote/smtp-route.ts";

function zone(
  mx: Record<string, MxRecord[] | "soft" | "none">,
  hosts: Record<string, string[] | "soft" | "none">,
): DnsResolver {
  const answer = <T>(found: T[] | "soft" | "none" | undefined): DnsAnswer<T> => {
    if (found === undefined) return { kind: "nxdomain" };
    return typeof found === "string" ? { kind: found } : { kind: "found", records: found };
  };
  return {
    mx: async (domain) => answer(mx[domain]),
    addresses: async (host) => answer(hosts[host]),
  };
}

const to = (preference: number, exchange: string): MxRecord => ({ preference, exchange });

async function find(
  host: string,
  resolver: DnsResolver,
  routes?: Record<string, string>,
): Promise<Destination | NoDestination> {
  return findDestination(host, {
    resolver,
    isOwn: (address) => address === "10.0.0.99",
    routes: routes && new Map(Object.entries(routes)),
  });
}

function addresses(found: Destination | NoDestination, random = 0.5): string[] {
  if ("verdict" in found) throw new Error(found.text);
  return targetsOf(found, () => random).map((t) => `${t.address}:${t.port}`);
}

describe("findDestination()", () => {
  it("orders MX hosts by preference and draws lots among equal ones", async () => {
    const found = await find(
      "x.test",
      zone(
        { "x.test": [to(20, "b"), to(10, "a"), to(20, "c")] },
        { a: ["10.0.0.1", "2001:db8::1"], b: ["10.0.0.2"], c: ["10.0.0.3"] },
      ),
    );
    const lots = [0.1, 0.9, 0.2];
    if ("verdict" in found) throw new Error(found.text);
    const drawn = targetsOf(found, () => lots.shift() as number).map((t) => t.address);
    expect(drawn).toEqual(["10.0.0.1", "2001:db8::1", "10.0.0.3", "10.0.0.2"]);
  });

  it("takes the address of a host without MX", async () => {
    const dns = zone({ "x.test": "none" }, { "x.test": ["10.0.0.1"] });
    expect(addresses(await find("x.test", dns))).toEqual(["10.0.0.1:25"]);
  });

  it("refuses a null MX for good", async () => {
    const found = await find("x.test", zone({ "x.test": [to(0, "")] }, {}));
    expect(found).toEqual({ verdict: "D", text: hostTexts.nullMx });
  });

  it("drops itself and everything not better, and refuses when nothing is left", async () => {
    const hosts = { a: ["10.0.0.1"], me: ["10.0.0.99"], c: ["10.0.0.3"] };
    const backup = zone({ "x.test": [to(10, "a"), to(20, "me"), to(20, "c")] }, hosts);
    expect(addresses(await find("x.test", backup))).toEqual(["10.0.0.1:25"]);
    const best = zone({ "x.test": [to(10, "me"), to(20, "c")] }, hosts);
    expect(await find("x.test", best)).toEqual({ verdict: "D", text: hostTexts.ourselves });
    expect(await find("[10.0.0.99]", best)).toEqual({ verdict: "D", text: hostTexts.ourselves });
  });

  it("tells temporary from permanent DNS trouble", async () => {
    expect(await find("x.test", zone({ "x.test": "soft" }, {}))).toEqual({
      verdict: "Z",
      text: hostTexts.soft,
    });
    expect(await find("b\xe9d.test", zone({}, {}))).toEqual({
      verdict: "D",
      text: "Sorry, I couldn't find any host named b?d.test. (#5.1.2)\n",
    });
    expect(await find("x.test", zone({}, { "x.test": "none" }))).toEqual({
      verdict: "D",
      text: hostTexts.none,
    });
    const mx = { "x.test": [to(10, "a"), to(20, "b")] };
    expect(await find("x.test", zone(mx, { a: "soft", b: ["10.0.0.2"] }))).toMatchObject({
      port: 25,
    });
    expect(await find("x.test", zone(mx, { a: "soft", b: "none" }))).toMatchObject({
      verdict: "Z",
    });
    expect(await find("x.test", zone(mx, { a: "none", b: "none" }))).toEqual({
      verdict: "D",
      text: hostTexts.none,
    });
  });

  it("asks no DNS for literals and lets a route through to our own address", async () => {
    const dns = zone({}, {});
    expect(addresses(await find("[10.0.0.1]", dns))).toEqual(["10.0.0.1:25"]);
    expect(addresses(await find("[ipv6:2001:db8::5]", dns))).toEqual(["2001:db8::5:25"]);
    expect(addresses(await find("x.test", dns, { "": "[10.0.0.99]:2525" }))).toEqual([
      "10.0.0.99:2525",
    ]);
  });

  it("gives hosts with the same exchangers the same key", async () => {
    const dns = zone(
      { "x.test": [to(10, "a")], "y.test": [to(10, "a")], "z.test": [to(10, "b")] },
      { a: ["10.0.0.1"], b: ["10.0.0.2"] },
    );
    const [x, y, z] = await Promise.all(["x.test", "y.test", "z.test"].map((h) => find(h, dns)));
    if (!x || !y || !z || !("key" in x) || !("key" in y) || !("key" in z)) throw new Error("none");
    expect(x.key).toBe(y.key);
    expect(x.key).not.toBe(z.key);
  });
});

describe("findRoute()", () => {
  const routes = new Map([
    ["a.example", "one:2525"],
    [".example", "two"],
    [".free.example", ""],
    ["", "[::1]:26"],
  ]);

  it("tries the host, suffixes from the longest, then the empty key; an empty relay is the MX", () => {
    expect(findRoute(routes, "A.example")).toEqual({ relay: "one", port: 2525 });
    expect(findRoute(routes, "b.example")).toEqual({ relay: "two", port: 25 });
    expect(findRoute(routes, "x.free.example")).toBeUndefined();
    expect(findRoute(routes, "elsewhere.test")).toEqual({ relay: "::1", port: 26 });
    expect(findRoute(undefined, "x")).toBeUndefined();
  });

  it("reads addresses, ports and credentials", () => {
    expect(parseRoute("127.0.0.1:2525")).toEqual({ relay: "127.0.0.1", port: 2525 });
    expect(parseRoute("2001:db8::1")).toEqual({ relay: "2001:db8::1", port: 25 });
    expect(parseRoute("relay:")).toEqual({ relay: "relay", port: 0 });
    expect(parseRoute("relay:99999")).toEqual({ relay: "relay", port: 0 });
    expect(parseRoute("relay:587|joe|a|b")).toEqual({
      relay: "relay",
      port: 587,
      credentials: { user: "joe", password: "a|b" },
    });
  });
});

describe("addressLiteral()", () => {
  it("knows addresses from names", () => {
    expect(addressLiteral("[1.2.3.4]")).toBe("1.2.3.4");
    expect(addressLiteral("1.2.3.4")).toBe("1.2.3.4");
    expect(addressLiteral("[x]")).toBeUndefined();
    expect(addressLiteral("h.example")).toBeUndefined();
  });
});

describe("ownAddressTest()", () => {
  it("knows loopback and unspecified addresses of both families", () => {
    const isOwn = ownAddressTest();
    for (const own of ["127.0.0.1", "127.9.9.9", "0.0.0.0", "::1", "::", "::ffff:127.0.0.1"]) {
      expect(isOwn(own), own).toBe(true);
    }
    expect(isOwn("192.0.2.1")).toBe(false);
  });
});

describe("mergeAnswers()", () => {
  it("prefers found, then doubt, and needs both for a name that does not exist", () => {
    const found = { kind: "found", records: ["a"] } as const;
    const [soft, none, nx] = [{ kind: "soft" }, { kind: "none" }, { kind: "nxdomain" }] as const;
    expect(mergeAnswers<string>(soft, found)).toEqual(found);
    expect(mergeAnswers<string>(none, soft)).toEqual(soft);
    expect(mergeAnswers<string>(nx, none)).toEqual(none);
    expect(mergeAnswers<string>(nx, nx)).toEqual(nx);
  });
});
